"""What can be decided with the backbones' probabilities: thresholds, the good that acting does, and abstaining."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.comparison.calibration.fold_scalings import fold_scalings, scaled_holdout, scaled_out_of_fold
from tasks.comparison.evidence import Evidence
from tasks.comparison.statistics.bootstrap import bootstrap_scores, expanded_interval
from tasks.comparison.statistics.pairing import pair_predictions
from tasks.comparison.statistics.units import Array, ratio, sums_by_unit
from tasks.dataset.targets import Targets
from tasks.evaluation.decision_curve import decision_curve
from tasks.evaluation.forecasts import Abstention, Forecasts, abstention, class_forecasts
from tasks.evaluation.operating_points import Rate, operating_table, rates_at
from tasks.evaluation.resampling import LEVEL, N_DRAWS, Estimate
from tasks.evaluation.risk_coverage import RiskCoverage, risk_coverage

MOST_EVENTS = 10
"""For more classes, labels or grades than these there are no thresholds; those that most images have come first."""

MOST_CURVES, MOST_MODELS = 4, 3
"""For so many events at most, and so many backbones, there are decision curves."""

COVERAGE = 0.8
"""The share of images of which it is told what happens when a model decides those alone."""

_LEAST_DRAWS, _MOST_WORK = 500, 100_000_000


@dataclass(frozen=True, eq=False)
class Decided:
    """What can be decided with probabilities, scaled where that was possible.

    Attributes
    ----------
    events : tuple of str
        The yes-or-no questions that there are thresholds for, in the classes' order.
    n_events : int
        How many there are in all.
    n_groups : int
        The number of groups that intervals stand on, or of images where there are no groups.
    n_holdout : int
        The number of held out images; 0 while a fold of the best backbone is missing.
    points : DataFrame
        One row a backbone, event and wanted rate: `backbone`, the columns of `operating_table`, `precision` and
        `negative_predictive_value` on the same images, and `holdout_sensitivity` and `holdout_specificity` with
        `…_low` and `…_high`. Of all backbones where there is one event, else of the best one. Without rows where no
        rate can be had.
    curves : mapping of str to mapping of str to DataFrame
        By event and backbone, the decision curve; empty for more than two classes that exclude each other, where acting
        is not a matter of one threshold.
    risks : mapping of str to RiskCoverage
        By backbone, best first.
    spared : Estimate
        By how much the best backbone's share of wrong decisions falls when it abstains from all but the surest
        `COVERAGE` of images, and the interval by groups.
    """

    events: tuple[str, ...]
    n_events: int
    n_groups: int
    n_holdout: int
    points: pd.DataFrame
    curves: Mapping[str, Mapping[str, pd.DataFrame]]
    risks: Mapping[str, RiskCoverage]
    spared: Estimate


def decide_with(evidence: Evidence) -> Decided:
    """Find out what can be decided with the out-of-fold probabilities of the backbones that are compared.

    Thresholds are those for the scaled probabilities, which a served model gives too.

    Raises
    ------
    ValueError
        If no backbone has finished a fold.
    """
    targets, seed = evidence.plan.manifest.targets, evidence.plan.experiment.seed
    scalings = {name: evidence.once(fold_scalings, name) for name in evidence.names}
    tables = {name: scaled_out_of_fold(evidence, name, own) for name, own in scalings.items()}
    paired = pair_predictions(tables, targets, evidence.groups)
    forecasts = {
        name: class_forecasts(given, targets.classes, targets.kind, paired.groups)
        for name, given in paired.models.items()
    }
    of_best = next(iter(forecasts.values()))
    events = _most_frequent(of_best, MOST_EVENTS)
    whose = forecasts if len(of_best) == 1 else {evidence.names[0]: of_best}
    told = {name: {event: own[event] for event in events} for name, own in whose.items()}
    held_out = {
        name: _events_of(evidence, scaled_holdout(evidence, name, scalings[name]), targets, events) for name in told
    }
    one_threshold = targets.kind != "multiclass" or len(of_best) == 1
    sure = {name: abstention(given, paired.groups) for name, given in paired.models.items()}
    n_draws = _n_draws(paired.n_images * len(sure))
    return Decided(
        events=events,
        n_events=len(of_best),
        n_groups=paired.n_groups,
        n_holdout=max((len(one.happened) for own in held_out.values() for one in own.values()), default=0),
        points=pd.DataFrame(list(_points(evidence, told, held_out))),
        curves=_curves(forecasts, _most_frequent(of_best, MOST_CURVES), seed) if one_threshold else {},
        risks={name: risk_coverage(given, n_draws=n_draws, seed=seed) for name, given in sure.items()},
        spared=_spared(next(iter(sure.values())), seed),
    )


def _curves(
    forecasts: Mapping[str, Mapping[str, Forecasts]], events: tuple[str, ...], seed: int
) -> dict[str, dict[str, pd.DataFrame]]:
    """Give the decision curves of the first backbones, by event and backbone."""
    models = dict(list(forecasts.items())[:MOST_MODELS])
    n_draws = _n_draws(sum(len(own[event].happened) for own in models.values() for event in events))
    return {
        event: {
            name: decision_curve(own[event], at_once=len(events), n_draws=n_draws, seed=seed)
            for name, own in models.items()
        }
        for event in events
    }


def _spared(given: Abstention, seed: int) -> Estimate:
    """Give the risk of all images less that of the surest ones, which are the same ones in each draw of groups."""
    kept = np.zeros(len(given.loss))
    kept[np.argsort(-given.confidence, kind="stable")[: math.ceil(COVERAGE * len(kept) - 1e-9)]] = 1
    sums = sums_by_unit(np.stack([given.loss, np.ones(len(kept)), given.loss * kept, kept], axis=1), given.groups)

    def difference(weights: Array) -> Array:
        lost, n, lost_of_kept, n_kept = (weights @ sums).T
        return ratio(lost, n) - ratio(lost_of_kept, n_kept)

    n_groups = len(sums)
    value = float(difference(np.ones((1, n_groups)))[0])
    draws = bootstrap_scores([difference], given.groups, n_draws=N_DRAWS, seed=seed)[:, 0]
    return Estimate(value, *expanded_interval(draws, n_groups, LEVEL))


def _most_frequent(forecasts: Mapping[str, Forecasts], most: int) -> tuple[str, ...]:
    """Give the events that happened most often, at most `most`, in their order; none that always or never did."""
    times = {event: int(one.happened.sum()) for event, one in forecasts.items() if 0 < one.happened.mean() < 1}
    kept = sorted(times, key=lambda event: -times[event])[:most]
    return tuple(event for event in forecasts if event in kept)


def _events_of(
    evidence: Evidence, table: pd.DataFrame | None, targets: Targets, events: tuple[str, ...]
) -> dict[str, Forecasts]:
    """Give the forecasts for the holdout by event; none without a holdout."""
    if table is None:
        return {}
    paired = pair_predictions({"": table}, targets, evidence.groups)
    found = class_forecasts(paired.models[""], targets.classes, targets.kind, paired.groups)
    return {event: found[event] for event in events}


def _points(
    evidence: Evidence, told: Mapping[str, Mapping[str, Forecasts]], held_out: Mapping[str, Mapping[str, Forecasts]]
) -> Iterator[dict[str, object]]:
    settings = evidence.plan.experiment
    rates: dict[Rate, list[float]] = {
        "sensitivity": settings.comparison.sensitivity, "specificity": settings.comparison.specificity
    }  # fmt: skip
    wanted = [(rate, target) for rate, targets in rates.items() for target in sorted(set(targets))]
    n_draws = _n_draws(sum(len(one.happened) for own in told.values() for one in own.values()) * len(wanted))
    for name, own in told.items():
        table = operating_table(own, wanted, n_draws=n_draws, seed=settings.seed)
        for row in table.to_dict("records"):
            event, threshold = str(row["event"]), float(row["threshold"])
            here = rates_at(own[event], threshold)
            there = rates_at(held_out[name][event], threshold) if event in held_out[name] else None
            yield {
                "backbone": name,
                **{str(column): value for column, value in row.items()},
                "precision": here.precision.value,
                "negative_predictive_value": here.negative_predictive_value.value,
                **_columns("holdout_sensitivity", Estimate(math.nan) if there is None else there.sensitivity),
                **_columns("holdout_specificity", Estimate(math.nan) if there is None else there.specificity),
            }


def _n_draws(work: int) -> int:
    """Give how often groups are drawn, if every draw takes so many values: less often where that would take long."""
    return min(N_DRAWS, max(_LEAST_DRAWS, _MOST_WORK // max(1, work)))


def _columns(name: str, value: Estimate) -> dict[str, float]:
    return {f"{name}{end}": figure for end, figure in zip(("", "_low", "_high"), value, strict=True)}

"""From which probability on to act: the threshold for a wanted sensitivity or specificity, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.forecasts import Forecasts
from tasks.evaluation.resampling import LEAST_GROUPS, LEVEL, N_DRAWS, Estimate, group_draws, percentiles, share

Rate = Literal["sensitivity", "specificity"]
"""The share of positive images that are called positive, or of negative ones that are not."""

_SLACK = 1e-9


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold that reaches a wanted rate, and the rates there.

    Attributes
    ----------
    wanted : {"sensitivity", "specificity"}
        Which rate is to be reached.
    target : float
        How much of it, 0 to 1.
    threshold : Estimate
        From which probability on an image is called positive; above 1 where none may be. Its interval is that of the
        cluster bootstrap, which draws groups and chooses anew.
    reached : Estimate
        The wanted rate there. Its interval (`resampling.share`) takes the threshold as given: on new images the rate
        can fall short of the target by as much, and a little more as the threshold was chosen on these.
    other : Estimate
        The rate that pays for it. Its interval is that of the cluster bootstrap with the threshold chosen anew; where
        the rate is 0 or 1, that of `resampling.share`: all draws could give the same.
    n_positive, n_negative : int
        Numbers of images.
    """

    wanted: Rate
    target: float
    threshold: Estimate
    reached: Estimate
    other: Estimate
    n_positive: int
    n_negative: int


class Rates(NamedTuple):
    """What a given threshold does; each with an interval by `resampling.share`, and NaN where it is undefined."""

    sensitivity: Estimate
    specificity: Estimate
    precision: Estimate
    """The share of positive images among those called positive."""
    negative_predictive_value: Estimate
    """The share of negative images among those called negative."""


def rates_at(forecasts: Forecasts, threshold: float, level: float = LEVEL) -> Rates:
    """Give the rates of calling positive what has at least this probability.

    Parameters
    ----------
    forecasts
        Probabilities, truth and groups; best of images that the threshold was not chosen on.
    threshold : float
        From which probability on an image is called positive.
    level : float
        The confidence level of the intervals, 0 to 1.
    """
    probability, happened, groups = forecasts
    called = probability >= threshold

    def rate(counted: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        return share(counted[among], groups[among], level)

    return Rates(rate(called, happened), rate(~called, ~happened), rate(happened, called), rate(~happened, ~called))


def wanted_point(
    forecasts: Forecasts,
    wanted: Rate,
    target: float,
    *,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> OperatingPoint | None:
    """Find the threshold that reaches a wanted rate with the most of the other one.

    All thresholds between two neighbouring probabilities decide alike, and the one midway is taken. Images of equal
    probability are called alike, so that the rate can be well above its target; where all are equal, all or none are
    called. Choose on validation or out-of-fold predictions; `rates_at` then tells what it does on other images.

    Parameters
    ----------
    forecasts
        Probabilities, truth and groups.
    wanted : {"sensitivity", "specificity"}
        Which rate is to be reached.
    target : float
        How much of it, above 0 and at most 1.
    level : float
        The confidence level of the intervals, 0 to 1.
    n_draws, seed : int
        How often groups are drawn; the same seed gives the same intervals.

    Returns
    -------
    OperatingPoint or None
        None where no image is positive, or all are. There is no bootstrap interval where fewer than `LEAST_GROUPS`
        groups hold a positive image, or a negative one.

    Raises
    ------
    ValueError
        If the target is out of bounds.
    """
    if not 0 < target <= 1:
        raise ValueError(f"a wanted {wanted} is above 0 and at most 1, not {target}")
    positive = forecasts.happened
    if positive.all() or not positive.any():
        return None
    cuts = _Cuts(forecasts)
    threshold, other = (float(values[0]) for values in cuts.choose(np.ones((1, cuts.n_groups)), wanted, target))
    bounds = np.full((2, 2), math.nan)
    if min(len(np.unique(forecasts.groups[of_class])) for of_class in (positive, ~positive)) >= LEAST_GROUPS:
        draws = group_draws(cuts.n_groups, n_draws, seed, cuts.n_images)
        chosen = [np.stack(cuts.choose(drawn, wanted, target)) for drawn in draws]
        bounds = percentiles(np.concatenate(chosen, axis=1).T, level)
    rates = rates_at(forecasts, threshold, level)
    reached, paid = (rates.sensitivity, rates.specificity)[:: 1 if wanted == "sensitivity" else -1]
    return OperatingPoint(
        wanted=wanted,
        target=target,
        threshold=Estimate(threshold, *bounds[:, 0].tolist()),
        reached=reached,
        other=paid if other in (0, 1) else Estimate(other, *bounds[:, 1].tolist()),
        n_positive=int(positive.sum()),
        n_negative=int((~positive).sum()),
    )


def operating_table(
    forecasts: Mapping[str, Forecasts],
    wanted: Sequence[tuple[Rate, float]],
    *,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Lay out the points for wanted rates: one row an event and a wanted rate that can be had.

    Parameters
    ----------
    forecasts
        By event, as `class_forecasts` gives them.
    wanted : sequence of (rate, float)
        Such as `("sensitivity", 0.95)`.
    level, n_draws, seed
        As in `wanted_point`.

    Returns
    -------
    DataFrame
        `event`, `wanted`, `target`; `threshold`, `sensitivity` and `specificity`, each followed by a column `…_low` and
        one `…_high`; `n_positive` and `n_negative` images.
    """
    rows = []
    for event, given in forecasts.items():
        for rate, target in wanted:
            point = wanted_point(given, rate, target, level=level, n_draws=n_draws, seed=seed)
            if point is not None:
                rows.append({"event": event, **_row(point)})
    return pd.DataFrame(rows)


def _row(point: OperatingPoint) -> dict[str, float | str]:
    rates = [point.reached, point.other] if point.wanted == "sensitivity" else [point.other, point.reached]
    estimates = zip(("threshold", "sensitivity", "specificity"), (point.threshold, *rates), strict=True)
    values = {
        f"{name}{end}": value
        for name, estimate in estimates
        for end, value in zip(("", "_low", "_high"), estimate, strict=True)
    }
    counts = {"n_positive": point.n_positive, "n_negative": point.n_negative}
    return {"wanted": point.wanted, "target": point.target, **values, **counts}


class _Cuts:
    """The ways to cut images by their probability, from calling none positive to calling all."""

    def __init__(self, forecasts: Forecasts) -> None:
        order = np.argsort(-forecasts.probability, kind="stable")
        sorted_down = forecasts.probability[order]
        self._positive = forecasts.happened[order].astype(np.float64)
        self._groups = np.unique(forecasts.groups, return_inverse=True)[1][order]
        self.n_groups, self.n_images = int(self._groups.max()) + 1, len(order)
        last_of_equal = np.append(np.diff(sorted_down) < 0, True)
        self._ends = np.flatnonzero(last_of_equal)
        values = sorted_down[self._ends]
        top = (1 + values[0]) / 2 if values[0] < 1 else math.nextafter(1.0, 2.0)
        below = np.append(values[1:], 0.0)
        midway = (values + below) / 2
        # Neighbours may have no number between them, and the least probability may be 0.
        self._thresholds = np.append(top, np.where(midway > below, midway, values))

    def choose(
        self, drawn: NDArray[np.float64] | NDArray[np.int64], wanted: Rate, target: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the threshold and the other rate there for each row of numbers of each group; NaN without a class."""
        weights = drawn[:, self._groups]
        true, false = (self._called(weights * of_class) for of_class in (self._positive, 1 - self._positive))
        n_positive, n_negative = true[:, -1], false[:, -1]
        known = (n_positive > 0) & (n_negative > 0)
        rows = np.arange(len(drawn))
        if wanted == "sensitivity":
            # The first cut from above that calls enough positive images.
            at = (true >= target * n_positive[:, None] - _SLACK).argmax(axis=1)
            kept, total = n_negative - false[rows, at], n_negative
        else:
            # The last cut from above that calls few enough negative images.
            at = (false <= (1 - target) * n_negative[:, None] + _SLACK).sum(axis=1) - 1
            kept, total = true[rows, at], n_positive
        other = np.divide(kept, total, out=np.full(len(drawn), math.nan), where=known)
        return np.where(known, self._thresholds[at], math.nan), other

    def _called(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the sum of weights above each cut, the first of which calls nobody."""
        sums = np.cumsum(weights, axis=1)[:, self._ends]
        return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)

"""How far a backbone's probabilities mean what they say, as they are and scaled, and what scaling changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.calibration.fold_scalings import fold_scalings, scaled_out_of_fold, validation_tables
from tasks.comparison.evidence import Evidence
from tasks.comparison.statistics.bootstrap import bootstrap_scores, expanded_interval
from tasks.comparison.statistics.pairing import pair_predictions
from tasks.comparison.statistics.units import Scorer, mean_scorer
from tasks.comparison.statistics.weighted import image_values
from tasks.config import Kind
from tasks.dataset.targets import Targets
from tasks.evaluation.brier import BrierParts, brier_of_all
from tasks.evaluation.calibration import confidence
from tasks.evaluation.checks import Predictions
from tasks.evaluation.forecasts import Forecasts, decision_forecasts
from tasks.evaluation.reliability import CalibrationError, calibration_error
from tasks.evaluation.resampling import LEVEL, N_DRAWS, Estimate
from tasks.evaluation.scaling import Scaling
from tasks.evaluation.scaling_fit import calibration_scores

CHANGED = ("log_loss", "brier")
"""What scaling is to lower, and whose change has an interval: proper scores, which no chance of bins moves."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far probabilities mean what they say.

    Attributes
    ----------
    scores : mapping of str to float
        As `calibration_scores` gives them.
    parts : BrierParts
        Those of `scores["brier"]`.
    by_mass, by_width : CalibrationError
        The expected calibration error and its chance level, in bins of either kind.
    confidence, right : float
        The mean probability of what was decided, and the share of decisions that is right; 0 to 1.
    excess : Estimate
        Their difference and its interval: above 0 where the model is too sure of itself.
    forecasts : Forecasts
        The decisions, for reliability diagrams.
    """

    scores: Mapping[str, float]
    parts: BrierParts
    by_mass: CalibrationError
    by_width: CalibrationError
    confidence: float
    right: float
    excess: Estimate
    forecasts: Forecasts


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A backbone's calibration before and after scaling.

    Attributes
    ----------
    name : str
        The backbone.
    before : Calibration
        Of its out-of-fold probabilities as they are.
    after : Calibration or None
        Of the scaled ones; None where nothing was scaled.
    changes : mapping of str to Estimate
        By score of `CHANGED`, what it is after less what it was before; empty where nothing was scaled.
    scalings : mapping of int to Scaling
        By fold.
    n_validation : mapping of int to int
        By fold, the number of images that its scaling was fitted on.
    n_groups : int
        The number of groups that intervals stand on, or of images where there are no groups.
    table : DataFrame
        The out-of-fold predictions, scaled where that was possible.
    surprise : tuple of float
        The change of the log loss less what is to be expected of it, in standard errors: if the probabilities before
        mean what they say, and if those after do. NaN where nothing was scaled.
    """

    name: str
    before: Calibration
    after: Calibration | None
    changes: Mapping[str, Estimate]
    scalings: Mapping[int, Scaling]
    n_validation: Mapping[int, int]
    n_groups: int
    table: pd.DataFrame
    surprise: tuple[float, float] = (math.nan, math.nan)

    def beyond_chance(self, of: int = 1) -> bool:
        """Whether the log loss falls or rises by more than it would if probabilities meant what they say.

        Draws of images know little of mistakes that are rare, and scaling that a lucky sample bears out would be said
        to help: where the probabilities before mean what they say, no scaling does, and where those after do, none
        harms.

        Parameters
        ----------
        of : int
            For how many backbones that is said together.
        """
        from scipy.special import ndtri

        before, after = self.surprise
        limit = float(ndtri(1 - (1 - LEVEL) / (2 * of)))
        return bool(before < -limit if self.changes["log_loss"].value < 0 else after > limit)


def calibrate(evidence: Evidence, backbone: str) -> Calibrated:
    """Scale a backbone's out-of-fold predictions and measure their calibration before and after.

    Intervals are the cluster bootstrap's (`expanded_interval`), the same draws of groups before and after.
    """
    targets, seed = evidence.plan.manifest.targets, evidence.plan.experiment.seed
    scalings = evidence.once(fold_scalings, backbone)
    scaled = scaled_out_of_fold(evidence, backbone, scalings)
    tables = {"before": evidence.tables[backbone]} | ({"after": scaled} if scalings else {})
    paired = pair_predictions(tables, targets, evidence.groups)
    scorers = {
        (state, name): scorer
        for state, given in paired.models.items()
        for name, scorer in _scorers(given, paired.groups, targets.kind).items()
    }
    draws = bootstrap_scores(list(scorers.values()), paired.groups, n_draws=N_DRAWS, seed=seed)
    whole = {key: float(scorer(np.ones((1, paired.n_groups)))[0]) for key, scorer in scorers.items()}
    drawn = dict(zip(scorers, draws.T, strict=True))

    def estimate(value: float, of_draws: NDArray[np.float64]) -> Estimate:
        return Estimate(value, *expanded_interval(of_draws, paired.n_groups, LEVEL))

    found = {
        state: _calibration(given, paired.groups, targets, estimate(whole[state, "excess"], drawn[state, "excess"]))
        for state, given in paired.models.items()
    }
    changes = {
        name: estimate(whole["after", name] - whole["before", name], drawn["after", name] - drawn["before", name])
        for name in (CHANGED if scalings else ())
    }
    images = {fold: len(table) for fold, table in validation_tables(evidence, backbone).items()} if scalings else {}
    surprise = _surprise(paired.models["before"], paired.models["after"], targets.kind) if scalings else (math.nan,) * 2
    return Calibrated(
        backbone, found["before"], found.get("after"), changes, scalings, images, paired.n_groups, scaled, surprise
    )


def _surprise(before: Predictions, after: Predictions, kind: Kind) -> tuple[float, float]:
    """Give the mean change of the log loss less its expectation in standard errors, by either one's probabilities.

    If labels are drawn as probabilities p say, the change d of an image has the mean Σ p d over its classes and the
    variance Σ p d² - (Σ p d)² (for several labels: each by itself, with p and 1 - p).
    """
    least = np.finfo(np.float64).eps
    change = image_values("log_loss", after, kind) - image_values("log_loss", before, kind)
    found = []
    for likely in (before.y_prob, after.y_prob):
        states = [(likely, before.y_prob, after.y_prob)]
        if kind == "multilabel":
            states.append((1 - likely, 1 - before.y_prob, 1 - after.y_prob))
        parts = [(p, np.log(np.clip(one, least, 1)) - np.log(np.clip(two, least, 1))) for p, one, two in states]
        mean, square = (sum(p * d**power for p, d in parts) for power in (1, 2))
        if kind == "multilabel":
            n_labels = likely.shape[1]
            expected, spread = mean.mean(axis=1), (square - mean**2).sum(axis=1) / n_labels**2
        else:
            expected = mean.sum(axis=1)
            spread = square.sum(axis=1) - expected**2
        error = math.sqrt(max(float(spread.sum()), 0.0)) / len(change)
        found.append(float(change.mean() - expected.mean()) / error if error > 0 else 0.0)
    return found[0], found[1]


def _scorers(given: Predictions, groups: NDArray[np.int64], kind: Kind) -> dict[str, Scorer]:
    """Give what is scored on each draw of groups: the scores of `CHANGED`, and the excess of confidence."""
    excess = confidence(given.y_prob, given.y_pred) - (given.y_pred == given.y_true)
    values = {name: image_values(name, given, kind) for name in CHANGED}
    values["excess"] = excess if excess.ndim == 1 else excess.mean(axis=1)
    return {name: mean_scorer(own, groups) for name, own in values.items()}


def _calibration(given: Predictions, groups: NDArray[np.int64], targets: Targets, excess: Estimate) -> Calibration:
    forecasts = decision_forecasts(given, groups)
    return Calibration(
        scores=calibration_scores(*given[:2], targets.classes, targets.kind, given.y_pred),
        parts=brier_of_all(given, targets.kind),
        by_mass=calibration_error(forecasts, by="mass"),
        by_width=calibration_error(forecasts, by="width"),
        confidence=float(forecasts.probability.mean()),
        right=float(forecasts.happened.mean()),
        excess=excess,
        forecasts=forecasts,
    )


def mean_temperature(scalings: Mapping[int, Scaling]) -> float:
    """Give the geometric mean of the temperatures of all folds and classes, above 0."""
    # The lowest grade, which every image reaches, has a weight without effect.
    used = [own.temperatures[1 if own.kind == "ordinal" else 0 :] for own in scalings.values()]
    return float(np.exp(np.log(np.concatenate(used)).mean()))

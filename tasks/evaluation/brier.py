"""The Brier score and its parts: how reliable forecasts are, how much they tell apart, how uncertain the matter is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.config import Kind
from tasks.dataset.targets import memberships
from tasks.evaluation.checks import Predictions
from tasks.evaluation.reliability import N_BINS, Binning, bin_places


class BrierParts(NamedTuple):
    """A Brier score and its parts: `brier = reliability - resolution + uncertainty + within_bins`."""

    brier: float
    """Mean squared distance of probability and outcome; less is better."""
    reliability: float
    """Mean squared gap between a bin's mean probability and its frequency; 0 is perfect calibration."""
    resolution: float
    """Mean squared distance of a bin's frequency from that of all; more is better, and `uncertainty` is the most."""
    uncertainty: float
    """What forecasting the overall frequency would score."""
    within_bins: float
    """What the spread of probabilities within bins adds; 0 where all of a bin are equal."""


def brier_parts(
    probability: NDArray[np.float64], happened: NDArray[np.bool_], n_bins: int | None = N_BINS, by: Binning = "mass"
) -> BrierParts:
    """Take the Brier score (Brier, 1950) of yes-or-no forecasts apart (Murphy, 1973, J. Appl. Meteor. 12, p. 595).

    Murphy's identity is exact where all forecasts of a bin are equal. The rest for wider bins is the variance of the
    probabilities within bins less twice their covariance with the outcomes (Stephenson et al., 2008, Weather and
    Forecasting 23, p. 752), and with it the identity is exact always.

    Parameters
    ----------
    probability : ndarray of shape (n_forecasts,), 0 to 1
        How likely the event was said to be.
    happened : ndarray of shape (n_forecasts,), bool
        Whether it came true. If it always did, or never, uncertainty and resolution are 0.
    n_bins : int or None
        Number of bins; None: a bin for each probability that occurs, which is Murphy's own form.
    by : {"mass", "width"}
        How bins are cut; see `reliability.bin_places`.

    Raises
    ------
    ValueError
        If there is no forecast.
    """
    probability, outcome = np.asarray(probability, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    if not len(probability):
        raise ValueError("the Brier score needs at least one forecast")
    distinct = probability if n_bins is None else bin_places(probability, n_bins, by)
    _, places = np.unique(distinct, return_inverse=True)
    count, n, overall = np.bincount(places), len(probability), outcome.mean()
    said, came = (np.bincount(places, weights=values) / count for values in (probability, outcome))
    beside = probability - said[places]
    return BrierParts(
        brier=float(np.square(probability - outcome).mean()),
        reliability=float((count * np.square(said - came)).sum() / n),
        resolution=float((count * np.square(came - overall)).sum() / n),
        uncertainty=float(overall * (1 - overall)),
        within_bins=float((np.square(beside) - 2 * beside * (outcome - came[places])).mean()),
    )


def brier_by_class(
    given: Predictions, classes: Sequence[str], n_bins: int | None = N_BINS, by: Binning = "mass"
) -> dict[str, BrierParts]:
    """Take apart the Brier score of each class, label or grade: whether an image is of it or not.

    Parameters
    ----------
    given
        Labels, probabilities and decisions.
    classes : sequence of str
        The classes, labels or grades in column order.
    n_bins, by
        As in `brier_parts`.
    """
    truth = memberships(given.y_true, len(classes))
    columns = zip(classes, given.y_prob.T, truth.T, strict=True)
    return {name: brier_parts(probability, happened, n_bins, by) for name, probability, happened in columns}


def brier_of_all(given: Predictions, kind: Kind, n_bins: int | None = N_BINS, by: Binning = "mass") -> BrierParts:
    """Take apart the Brier score that `score` gives for all classes together.

    Of several classes or grades that exclude each other the parts are the sums of the classes' (Murphy, 1973), of two
    classes those of the second, and of labels their means.

    Parameters
    ----------
    given
        Labels, probabilities and decisions.
    kind
        The kind of labels.
    n_bins, by
        As in `brier_parts`.
    """
    n_classes = given.y_prob.shape[1]
    numbered = [str(number) for number in range(n_classes)]
    parts = np.array(list(brier_by_class(given, numbered, n_bins, by).values()), dtype=np.float64)
    if kind == "multilabel":
        return BrierParts(*parts.mean(axis=0).tolist())
    return BrierParts(*(parts[1] if n_classes == 2 else parts.sum(axis=0)).tolist())

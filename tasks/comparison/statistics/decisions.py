"""Metrics of decisions under weights: all are functions of how many images there are of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.comparison.statistics.units import Array, Scorer, mean_of_known, ratio, sums_by_unit
from tasks.dataset.targets import memberships
from tasks.evaluation.calibration import confidence
from tasks.evaluation.checks import Predictions

_N_BINS = 15


class _Counts(NamedTuple):
    """Numbers of images, each of shape (n_draws, n_classes)."""

    true: Array
    decided: Array
    right: Array


def _recall(of: _Counts) -> Array:
    return ratio(of.right, of.true)


def _precision(of: _Counts) -> Array:
    found = ratio(of.right, of.decided)
    return np.where((of.decided == 0) & (of.true > 0), 0.0, found)


def _f1(of: _Counts) -> Array:
    return ratio(2 * of.right, of.true + of.decided)


def _accuracy(of: _Counts) -> Array:
    return ratio(of.right.sum(axis=1), of.true.sum(axis=1))


def _cohen_kappa(of: _Counts) -> Array:
    """Agreement beyond chance (Cohen, 1960), with both parts multiplied by the square of the images' number."""
    n, by_chance = of.true.sum(axis=1), (of.true * of.decided).sum(axis=1)
    return ratio(n * of.right.sum(axis=1) - by_chance, n**2 - by_chance)


def _matthews_corrcoef(of: _Counts) -> Array:
    """Correlation of truth and decisions (Gorodkin, 2004); 0 where one of the two knows a single class."""
    n, by_chance = of.true.sum(axis=1), (of.true * of.decided).sum(axis=1)
    spread = (n**2 - (of.true**2).sum(axis=1)) * (n**2 - (of.decided**2).sum(axis=1))
    found = ratio(n * of.right.sum(axis=1) - by_chance, np.sqrt(spread))
    return np.where((spread == 0) & (n**2 > by_chance), 0.0, found)


def _macro(of_class: Callable[[_Counts], Array]) -> Callable[[_Counts], Array]:
    return lambda of: mean_of_known(of_class(of))


BY_CLASS: dict[str, Callable[[_Counts], Array]] = {"f1": _f1, "precision": _precision, "recall": _recall}
"""Metrics that each class has, by name."""

_OF_ALL: dict[str, Callable[[_Counts], Array]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _macro(_recall),
    "cohen_kappa": _cohen_kappa,
    "matthews_corrcoef": _matthews_corrcoef,
    **{f"{name}_macro": _macro(of_class) for name, of_class in BY_CLASS.items()},
}

COUNTED = frozenset(_OF_ALL)
"""The names of the metrics of all classes that `counted_scorer` knows."""


def counted_scorer(
    name: str, given: Predictions, units: NDArray[np.int64], n_classes: int, number: int | None = None
) -> Scorer:
    """Return the scorer of a metric that is a function of right and wrong decisions by class.

    Parameters
    ----------
    name : str
        One of `COUNTED`, or of `BY_CLASS` with the class's number.
    given : Predictions
        Truth and decisions of n_images images.
    units : ndarray of shape (n_images,), 0 to n_units - 1
        The unit of each image.
    n_classes : int
        Number of classes, grades or labels.
    number : int or None
        The class; None: all of them.
    """
    true, decided = (memberships(y, n_classes) for y in (given.y_true, given.y_pred))
    sums = sums_by_unit(np.concatenate([true, decided, true & decided], axis=1).astype(np.float64), units)
    formula = _OF_ALL[name] if number is None else BY_CLASS[name]

    def weighted(weights: Array) -> Array:
        found = formula(_Counts(*np.split(weights @ sums, 3, axis=1)))
        return found if number is None else found[:, number]

    return weighted


def quadratic_kappa_scorer(given: Predictions, units: NDArray[np.int64]) -> Scorer:
    """Return the scorer of Cohen's kappa of grades, disagreements weighted by their squared distance (Cohen, 1968).

    With grades i and j of truth and decision it is 1 less the mean of (i - j)² over the same mean were the two
    independent, which is that of i² + j² less twice the product of the means.
    """
    i, j = given.y_true.astype(np.float64), given.y_pred.astype(np.float64)
    sums = sums_by_unit(np.stack([(i - j) ** 2, i**2 + j**2, i, j, np.ones(len(i))], axis=1), units)

    def weighted(weights: Array) -> Array:
        apart, squares, i_total, j_total, n = (weights @ sums).T
        return 1 - ratio(n * apart, n * squares - 2 * i_total * j_total)

    return weighted


def calibration_error_scorer(given: Predictions, units: NDArray[np.int64]) -> Scorer:
    """Return the scorer of the expected calibration error, as `expected_calibration_error` has it (15 bins)."""
    sure, right = confidence(given.y_prob, given.y_pred), given.y_true == given.y_pred
    place = np.clip(np.ceil(sure * _N_BINS).astype(np.int64) - 1, 0, _N_BINS - 1).reshape(len(right), -1)
    gap = (right - sure).reshape(len(right), -1)
    columns = np.zeros((len(right), _N_BINS + 1))
    np.add.at(columns, (np.arange(len(right))[:, None], place), gap)
    columns[:, _N_BINS] = gap.shape[1]
    sums = sums_by_unit(columns, units)

    def weighted(weights: Array) -> Array:
        total = weights @ sums
        return ratio(np.abs(total[:, :_N_BINS]).sum(axis=1), total[:, _N_BINS])

    return weighted

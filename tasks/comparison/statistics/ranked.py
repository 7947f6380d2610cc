"""Metrics of the order of images under weights: the areas under the ROC and the precision-recall curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.comparison.statistics.units import Array, Scorer, ratio


def roc_auc_scorer(positive: NDArray[np.bool_], score: Array, units: NDArray[np.int64]) -> Scorer:
    """Return the scorer of the area under the ROC curve.

    It is the share of pairs of a positive and a negative image in which the positive one has the higher score, ties
    counting half (Hanley and McNeil, 1982).

    Parameters
    ----------
    positive : ndarray of shape (n_images,)
        Which images are of the class.
    score : ndarray of shape (n_images,)
        What speaks for the class.
    units : ndarray of shape (n_images,), 0 to n_units - 1
        The unit of each image.
    """
    lowest_first = np.argsort(score[~positive], kind="stable")
    negatives, negative_units = score[~positive][lowest_first], units[~positive][lowest_first]
    n_below, n_not_above = (np.searchsorted(negatives, score[positive], side=side) for side in ("left", "right"))
    positive_units = units[positive]

    def weighted(weights: Array) -> Array:
        of_unit = np.ascontiguousarray(weights.T)
        below = _running(of_unit[negative_units])
        own = of_unit[positive_units]
        won = (own * below[n_below]).sum(axis=0) + (own * below[n_not_above]).sum(axis=0)
        return ratio(won / 2, own.sum(axis=0) * below[-1])

    return weighted


def average_precision_scorer(positive: NDArray[np.bool_], score: Array, units: NDArray[np.int64]) -> Scorer:
    """Return the scorer of the average precision; parameters as in `roc_auc_scorer`.

    It is the mean of the precision at the score of each positive image, as scikit-learn's `average_precision_score`.
    """
    of_positives, of_negatives = (np.sort(score[part]) for part in (positive, ~positive))
    levels = np.unique(of_positives)[::-1]
    n_positive, n_negative = (len(part) - np.searchsorted(part, levels) for part in (of_positives, of_negatives))
    highest_first = np.argsort(-score, kind="stable")
    positive_units, negative_units = (units[highest_first[part[highest_first]]] for part in (positive, ~positive))

    def weighted(weights: Array) -> Array:
        of_unit = np.ascontiguousarray(weights.T)
        hits = _running(of_unit[positive_units])[n_positive]
        reached = hits + _running(of_unit[negative_units])[n_negative]
        precision = np.divide(hits, reached, out=np.zeros_like(hits), where=reached > 0)
        gained = np.diff(hits, axis=0, prepend=0.0)
        return ratio((gained * precision).sum(axis=0), gained.sum(axis=0))

    return weighted


def _running(values: Array) -> Array:
    """Give the sums of the first 0, 1, 2, … rows, of shape (n_rows + 1, n_draws)."""
    total = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=total[1:])
    return total

"""Whether decisions are right as often as their probability says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def expected_calibration_error(
    y_true: np.ndarray, y_prob: np.ndarray, y_pred: np.ndarray | None = None, n_bins: int = 15
) -> float:
    """Compute the expected calibration error, from 0 (confidence is accuracy) to 1.

    The decisions are put into `n_bins` bins of equal width by their probability (`confidence`); the error is the mean
    over the decisions of the gap between their bin's accuracy and its mean confidence (Guo et al., 2017, eq. 3).

    Parameters
    ----------
    y_true : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1
        Class or grade numbers, or which labels an image has; then each label of each image is a decision.
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Probabilities.
    y_pred : ndarray like y_true, or None
        What was decided; None: the likeliest class.
    n_bins : int
        Number of bins; a bin holds its upper edge.
    """
    bins = reliability(y_true, y_prob, y_pred, n_bins)
    return float(np.sum(bins["count"] * np.abs(bins["accuracy"] - bins["confidence"])) / bins["count"].sum())


def reliability(
    y_true: np.ndarray, y_prob: np.ndarray, y_pred: np.ndarray | None = None, n_bins: int = 15
) -> dict[str, np.ndarray]:
    """Confidence and accuracy in bins of equal width of the confidence; parameters as in `expected_calibration_error`.

    Returns
    -------
    dict of str to ndarray of shape (n_bins,)
        `count` of decisions, mean `confidence` and `accuracy` (0 to 1; both 0 in a bin without decisions).
    """
    decided = y_prob.argmax(axis=1) if y_pred is None else y_pred
    sure, right = confidence(y_prob, decided).ravel(), (decided == y_true).ravel()
    place = np.clip(np.ceil(sure * n_bins).astype(int) - 1, 0, n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    divisor = np.maximum(count, 1)
    return {
        "count": count,
        "confidence": np.bincount(place, weights=sure, minlength=n_bins) / divisor,
        "accuracy": np.bincount(place, weights=right, minlength=n_bins) / divisor,
    }


def confidence(y_prob: np.ndarray, y_pred: np.ndarray) -> NDArray[np.float64]:
    """Return the probability of what was decided, of the decisions' shape.

    It is the probability of the class or grade, and of each label that is given; of a label that is not given, it is
    the probability that the image has it not.
    """
    if y_pred.ndim == 2:
        return np.asarray(np.where(y_pred == 1, y_prob, 1 - y_prob))
    return np.asarray(np.take_along_axis(y_prob, y_pred[:, None], axis=1)[:, 0])

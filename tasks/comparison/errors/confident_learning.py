"""Which labels are probably wrong, from out-of-fold probabilities: confident learning.

After Northcutt, Jiang and Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of
Artificial Intelligence Research 70. In all functions `y_given` has the shape (n_images,) and holds class numbers as the
data set has them, and `y_prob` has the shape (n_images, n_classes), 0 to 1, rows summing to 1, of models that did not
see the images.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.dataset.targets import memberships

Rule = Literal["by_class", "by_noise_rate", "both"]
"""How suspects are picked: see `suspects`."""

_ROUNDING = 1e-9


def class_thresholds(y_given: NDArray[np.int64], y_prob: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how confident a class is of its own images: the mean of its probability over them (equation 2).

    Returns
    -------
    ndarray of shape (n_classes,), 0 to 1
        Infinite for a class without an image.
    """
    members = memberships(y_given, y_prob.shape[1])
    number = members.sum(axis=0)
    nowhere = np.full(y_prob.shape[1], np.inf)
    return np.asarray(np.divide((y_prob * members).sum(axis=0), number, out=nowhere, where=number > 0))


def confident_joint(y_given: NDArray[np.int64], y_prob: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count images by the class that is given and the one that is confidently theirs (equation 1).

    An image is confidently of a class if its probability reaches the class's threshold. Where it reaches several (a
    collision), the likeliest of them counts; an image that reaches none is not counted.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), int64
        Given classes in rows, confident ones in columns.
    """
    n_classes = y_prob.shape[1]
    reached = y_prob >= class_thresholds(y_given, y_prob) - _ROUNDING
    confident = reached.any(axis=1)
    likeliest = np.where(reached, y_prob, -1).argmax(axis=1)
    cells = y_given[confident] * n_classes + likeliest[confident]
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)


def expected_counts(joint: NDArray[np.int64], n_given: NDArray[np.int64]) -> NDArray[np.int64]:
    """Scale the confident joint so that each given class has as many images as it has in the data (equation 3).

    What is below one image goes to the largest remainders of its row, so that all counts are whole. A class of which
    no image is confidently anything is taken to be right.

    Parameters
    ----------
    joint : ndarray of shape (n_classes, n_classes), int64
        From `confident_joint`.
    n_given : ndarray of shape (n_classes,), int64
        The number of images that are given each class.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), int64
        How many images of each given class (rows) are estimated to be of each class (columns); rows sum to `n_given`.
    """
    filled = joint + np.diag(joint.sum(axis=1) == 0)
    exact = filled / filled.sum(axis=1, keepdims=True) * n_given[:, None]
    whole = np.floor(exact + _ROUNDING)
    left = n_given - whole.sum(axis=1)
    place = np.argsort(np.argsort(whole - exact, axis=1, kind="stable"), axis=1)
    return np.asarray(whole + (place < left[:, None]), dtype=np.int64)


def suspects(y_given: NDArray[np.int64], y_prob: NDArray[np.float64], rule: Rule = "both") -> NDArray[np.bool_]:
    """Tell which images' labels are probably wrong (section 3.2).

    Parameters
    ----------
    y_given, y_prob
        Labels and probabilities.
    rule : {"by_class", "by_noise_rate", "both"}
        `by_class`: of each class, as many as are estimated to be of others, those with the least self-confidence;
        `by_noise_rate`: for each class and other class, as many as are estimated to be of the other, those with the
        largest difference between the two probabilities; `both`: what both rules pick, the fewest and surest.

    Returns
    -------
    ndarray of shape (n_images,), bool
    """
    n_classes = y_prob.shape[1]
    expected = expected_counts(confident_joint(y_given, y_prob), np.bincount(y_given, minlength=n_classes))
    picked = np.ones(len(y_given), dtype=bool)
    if rule != "by_noise_rate":
        picked &= _by_class(y_given, y_prob, expected)
    if rule != "by_class":
        picked &= _by_noise_rate(y_given, y_prob, expected)
    return picked


def self_confidence(y_given: NDArray[np.int64], y_prob: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the probability of each image's given class, of shape (n_images,), 0 to 1."""
    return np.asarray(np.take_along_axis(y_prob, y_given[:, None], axis=1)[:, 0])


def normalised_margin(y_given: NDArray[np.int64], y_prob: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how far the given class is ahead of the likeliest other one, of shape (n_images,), -1 to 1 (section 3.2)."""
    others = np.where(memberships(y_given, y_prob.shape[1]), -np.inf, y_prob)
    return np.asarray(self_confidence(y_given, y_prob) - others.max(axis=1))


def _by_class(
    y_given: NDArray[np.int64], y_prob: NDArray[np.float64], expected: NDArray[np.int64]
) -> NDArray[np.bool_]:
    picked = np.zeros(len(y_given), dtype=bool)
    for number, of_class in enumerate(expected):
        rows = np.flatnonzero(y_given == number)
        order = np.argsort(y_prob[rows, number], kind="stable")
        picked[rows[order[: len(rows) - of_class[number]]]] = True
    return picked


def _by_noise_rate(
    y_given: NDArray[np.int64], y_prob: NDArray[np.float64], expected: NDArray[np.int64]
) -> NDArray[np.bool_]:
    picked = np.zeros(len(y_given), dtype=bool)
    for given, other in np.argwhere(expected > 0):
        if given != other:
            rows = np.flatnonzero(y_given == given)
            order = np.argsort(y_prob[rows, given] - y_prob[rows, other], kind="stable")
            picked[rows[order[: expected[given, other]]]] = True
    return picked

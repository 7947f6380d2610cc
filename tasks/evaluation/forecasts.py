"""Predictions taken apart into forecasts: how likely something was said to be, and whether it came true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.config import Kind
from tasks.dataset.targets import memberships
from tasks.evaluation.calibration import confidence
from tasks.evaluation.checks import Predictions
from tasks.evaluation.outputs import right


class Forecasts(NamedTuple):
    """Forecasts of one kind of event, and what belongs together among them."""

    probability: NDArray[np.float64]
    """Of shape (n_forecasts,), 0 to 1."""
    happened: NDArray[np.bool_]
    """Of shape (n_forecasts,)."""
    groups: NDArray[np.int64]
    """Of shape (n_forecasts,), from 0: forecasts with one number are not independent of each other."""


class Abstention(NamedTuple):
    """What decides whether a model abstains from an image, and what it costs if it does not."""

    confidence: NDArray[np.float64]
    """Of shape (n_images,), 0 to 1."""
    loss: NDArray[np.float64]
    """Of shape (n_images,): 1 where the decision is wrong, else 0."""
    groups: NDArray[np.int64]
    """Of shape (n_images,), from 0."""


def decision_forecasts(given: Predictions, groups: np.ndarray | None = None) -> Forecasts:
    """Give the forecasts that decisions make of themselves: each is right with its probability.

    They are what `expected_calibration_error` is about: one an image, or one an image and label where an image can have
    several labels. The forecasts of one image are then of one group.

    Parameters
    ----------
    given
        Labels, probabilities and decisions.
    groups : ndarray of shape (n_images,) or None
        The group of each image, such as its patient; None: each image is a group of its own.
    """
    sure = confidence(given.y_prob, given.y_pred)
    each = sure.size // len(sure)
    happened = (given.y_pred == given.y_true).ravel()
    return Forecasts(sure.ravel(), happened, np.repeat(group_numbers(groups, len(sure)), each))


def class_forecasts(
    given: Predictions, classes: Sequence[str], kind: Kind, groups: np.ndarray | None = None
) -> dict[str, Forecasts]:
    """Give the forecasts of each yes-or-no question that the labels put, by its name.

    Of several classes that exclude each other, each is forecast against the rest; of two, the second alone, which is
    the positive one as in `score`. Each label is forecast for itself. Of grades, each but the lowest is forecast to be
    reached: `2 or above`.

    Parameters
    ----------
    given
        Labels, probabilities and decisions.
    classes : sequence of str
        The classes, labels or grades in column order.
    kind
        The kind of labels.
    groups : ndarray of shape (n_images,) or None
        As in `decision_forecasts`.
    """
    n_classes, numbers = len(classes), group_numbers(groups, len(given.y_prob))
    if kind == "ordinal":
        reached = np.clip(np.cumsum(given.y_prob[:, ::-1], axis=1)[:, ::-1], 0, 1)
        return {
            f"{classes[grade]} or above": Forecasts(reached[:, grade], given.y_true >= grade, numbers)
            for grade in range(1, n_classes)
        }
    truth = memberships(given.y_true, n_classes)
    first = 1 if kind == "multiclass" and n_classes == 2 else 0
    return {
        classes[number]: Forecasts(given.y_prob[:, number], truth[:, number], numbers)
        for number in range(first, n_classes)
    }


def abstention(given: Predictions, groups: np.ndarray | None = None) -> Abstention:
    """Give how sure each image's decision is, and whether it is wrong; parameters as in `decision_forecasts`.

    With several labels an image, its decision is as sure as that of its least sure label, and wrong if one is wrong.
    """
    sure = confidence(given.y_prob, given.y_pred)
    wrong = ~right(given.y_true, given.y_pred)
    least = sure.min(axis=1) if sure.ndim == 2 else sure
    return Abstention(least, wrong.astype(np.float64), group_numbers(groups, len(least)))


def group_numbers(groups: np.ndarray | None, n: int) -> NDArray[np.int64]:
    """Give groups as numbers from 0, of shape (n,); None: each of `n` is a group of its own.

    Raises
    ------
    ValueError
        If there are not `n`.
    """
    if groups is None:
        return np.arange(n, dtype=np.int64)
    if np.shape(groups) != (n,):
        raise ValueError(f"expected the group of each of {n}, got groups of shape {np.shape(groups)}")
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], dtype=np.int64)

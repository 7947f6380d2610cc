"""Sets of classes that hold the true one as often as wanted, from models that each left some images out.

Needs NumPy and nothing of foldcam's, so that this very file can travel with a saved model.

The method is CV+ for classes (Romano, Sesia and Candès, 2020, "Classification with Valid and Adaptive Coverage",
section 2.3; Barber, Candès, Ramdas and Tibshirani, 2021). How strange a class is to a model is one minus its
probability (Sadinle, Lei and Wasserman, 2019), and of a grade the larger of the probabilities below and above it. A
class is left out where it is stranger to the models of too many folds than the true classes of those folds' own
images were. It asks no more than that new images are like those of the experiment; coverage is then never far below 1
- 2 (1 - coverage), and in practice near what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = list[list[NDArray[np.float64]]]
"""By fold, sorted scores of its out-of-fold images: of the true class, or, with several labels, of each label where it
is there, and then of each where it is not."""


def scores_of(probabilities: NDArray[Any], y: NDArray[Any], kind: str) -> list[NDArray[np.float64]]:
    """Return how strange the truth was to a model, sorted: one entry of `Scores`.

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes), 0 to 1
        Calibrated, for images that the model has not learnt from.
    y : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1, for `multilabel`
        What is true.
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    """
    probabilities, y = np.asarray(probabilities, dtype=np.float64), np.asarray(y, dtype=np.int64)
    if kind != "multilabel":
        return [np.sort(_strange(probabilities, kind)[np.arange(len(y)), y])]
    columns = range(probabilities.shape[1])
    there = [np.sort(1 - probabilities[y[:, k] == 1, k]) for k in columns]
    return there + [np.sort(probabilities[y[:, k] == 0, k]) for k in columns]


def sets_of(
    members: NDArray[Any], scores: Scores, kind: str, *, coverage: float, n_repeats: int = 1
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the set of each image, and whether it leaves the decision open.

    Parameters
    ----------
    members : ndarray of shape (n_folds, n_images, n_classes), 0 to 1
        Calibrated probabilities by the models of each fold.
    scores : Scores
        In the same order of folds.
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    coverage : float
        How often the set is to hold what is true, 0 to 1; with several labels, of each label that is there, and of each
        that is not.
    n_repeats : int
        How often the images were cut into folds.

    Returns
    -------
    sets : ndarray of shape (n_images, n_classes), bool
        The classes that cannot be excluded; of grades, all between the lowest and the highest of them too.
    open : ndarray of shape (n_images,), bool
        Whether the set does not hold just one class; with several labels, whether some label may both be there and
        not, or neither.
    """
    members = np.asarray(members, dtype=np.float64)
    n_classes = members.shape[2]
    if kind != "multilabel":
        possible = _possible(_strange(members, kind), [[own[0]] * n_classes for own in scores], coverage, n_repeats)
        if kind == "ordinal":
            above = np.logical_or.accumulate(possible, axis=1)
            below = np.logical_or.accumulate(possible[:, ::-1], axis=1)[:, ::-1]
            possible = above & below
        return possible, possible.sum(axis=1) != 1
    there = _possible(1 - members, [own[:n_classes] for own in scores], coverage, n_repeats)
    not_there = _possible(members, [own[n_classes:] for own in scores], coverage, n_repeats)
    return there, (there == not_there).any(axis=1)


def packed(scores: Scores) -> dict[str, NDArray[np.float64]]:
    """Return scores as arrays by name, as a file can hold them."""
    return {f"{fold}.{place}": own for fold, by_place in enumerate(scores) for place, own in enumerate(by_place)}


def unpacked(arrays: Mapping[str, NDArray[np.float64]]) -> Scores:
    """Return the scores that `packed` made arrays of."""
    found: dict[int, dict[int, NDArray[np.float64]]] = {}
    for name, own in arrays.items():
        fold, _, place = name.partition(".")
        found.setdefault(int(fold), {})[int(place)] = own
    return [[found[fold][place] for place in sorted(found[fold])] for fold in sorted(found)]


def _strange(probabilities: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Return how strange each class, on the last axis, is to a model: 0 to 1."""
    if kind != "ordinal":
        return np.asarray(1 - probabilities)
    up_to = np.cumsum(probabilities, axis=-1)
    return np.asarray(np.maximum(up_to - probabilities, 1 - up_to))


def _possible(
    strange: NDArray[np.float64], scores: Sequence[Sequence[NDArray[np.float64]]], coverage: float, n_repeats: int
) -> NDArray[np.bool_]:
    """Return which classes fewer than coverage · (n + 1) of the n images speak against."""
    _, n_images, n_classes = strange.shape
    against, n = np.zeros((n_images, n_classes)), np.zeros(n_classes)
    for own, by_class in zip(strange, scores, strict=True):
        for k, known in enumerate(by_class):
            against[:, k] += np.searchsorted(known, own[:, k] - _ROUNDING, side="left")
            n[k] += len(known)
    return np.asarray(against / n_repeats < coverage * (n / n_repeats + 1))


_ROUNDING = 1e-9
"""Scores that are nearer than this are equal: the same probability, computed in batches of other sizes."""

"""Which images stand on a sheet, chosen from plain arrays, so that only the pictures that are shown are opened."""

from __future__ import annotations

import numpy as np
import pandas as pd


def choose_wrong(right: np.ndarray, probability: np.ndarray, most: int | None = None) -> np.ndarray:
    """Choose mistakes, the most confident first.

    Parameters
    ----------
    right : ndarray of shape (n,), bool
        Whether each prediction is right.
    probability : ndarray of shape (n,), 0 to 1
        How sure the model is of what it predicted; NaN comes last. Of equal ones, the one that is given first.
    most : int or None
        How many at the most; None: all of them.

    Returns
    -------
    ndarray of shape (n_chosen,), int64
        Positions, in the order in which they are shown.

    Raises
    ------
    ValueError
        If the arrays do not fit together.
    """
    good, sure = _fitting(right, probability)
    wrong = np.flatnonzero(~good)
    return _most_confident_first(wrong, sure)[:most]


def choose_right(
    right: np.ndarray, probability: np.ndarray, most: int | None = None, true: np.ndarray | None = None
) -> np.ndarray:
    """Choose images that are predicted right, the most confident first, and of each class its share.

    Parameters
    ----------
    right, probability, most
        As in `choose_wrong`.
    true : ndarray of shape (n,) or None
        The class of each image, or a text of its labels. Where not all images have room, the classes take turns, each
        with its most confident ones; None: the most confident of all, whatever their class.

    Returns
    -------
    ndarray of shape (n_chosen,), int64
        Positions, in the order in which they are shown.

    Raises
    ------
    ValueError
        If the arrays do not fit together.
    """
    good, sure = _fitting(right, probability)
    chosen = _most_confident_first(np.flatnonzero(good), sure)
    if true is not None and most is not None:
        if len(true) != len(good):
            raise ValueError(f"{len(true)} classes do not fit to {len(good)} images")
        turns = pd.Series(np.asarray(true)[chosen]).pipe(lambda own: own.groupby(own).cumcount()).to_numpy()
        chosen = _most_confident_first(np.sort(chosen[np.argsort(turns, kind="stable")][:most]), sure)
    return chosen[:most]


def choose_by_class(y: np.ndarray, n_classes: int, per_class: int = 1) -> list[np.ndarray]:
    """Choose the images that stand for each class: the first ones, in the order given.

    Parameters
    ----------
    y : ndarray of shape (n,), int, or (n, n_classes), 0 or 1
        The class of each image; or its labels, and an image with several may stand for each of them.
    n_classes : int
        Number of classes.
    per_class : int
        How many images a class at the most.

    Returns
    -------
    list of ndarray of int64
        Positions, one array a class; empty where there is no image of a class.

    Raises
    ------
    ValueError
        If there are not so many columns of labels.
    """
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] != n_classes:
        raise ValueError(f"{y.shape[1]} columns of labels do not fit to {n_classes} classes")
    members = (y if y.ndim == 2 else y[:, None] == np.arange(n_classes)).astype(bool)
    return [np.flatnonzero(members[:, number])[:per_class] for number in range(n_classes)]


def choose_shared_mistakes(right: np.ndarray, probability: np.ndarray, most: int | None = None) -> np.ndarray:
    """Choose the images that most backbones get wrong: more than half of those that have a result.

    Parameters
    ----------
    right : ndarray of shape (n, n_backbones), bool
        Whether each prediction is right.
    probability : ndarray of shape (n, n_backbones), 0 to 1
        How sure each backbone is of what it predicted; NaN where it has no result for the image.
    most : int or None
        How many at the most; None: all of them.

    Returns
    -------
    ndarray of shape (n_chosen,), int64
        Positions: those that the largest share of backbones gets wrong first, and of equal shares those where the
        wrong ones are surest on average; of equal ones, the one that is given first.

    Raises
    ------
    ValueError
        If the arrays do not fit together.
    """
    good, sure = _fitting(right, probability)
    known = ~np.isnan(sure)
    wrong = known & ~good
    n_wrong = wrong.sum(axis=1)
    share = n_wrong / np.maximum(known.sum(axis=1), 1)
    certainty = np.where(wrong, sure, 0).sum(axis=1) / np.maximum(n_wrong, 1)
    shared = np.flatnonzero(share > 0.5)
    return shared[np.lexsort((-certainty[shared], -share[shared]))][:most]


def _fitting(right: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    good, sure = np.asarray(right, dtype=bool), np.asarray(probability, dtype=np.float64)
    if good.shape != sure.shape:
        raise ValueError(f"marks of right and wrong {good.shape} and probabilities {sure.shape} do not fit together")
    return good, sure


def _most_confident_first(positions: np.ndarray, sure: np.ndarray) -> np.ndarray:
    return positions[np.argsort(-sure[positions], kind="stable")]

"""Iterative stratification: images or groups with several labels dealt out so that each part gets its share of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def unit_counts(unit_of_row: Numbers, members: NDArray[np.bool_]) -> Numbers:
    """Return what there is in each unit: its images of each label, and last those without any label.

    Parameters
    ----------
    unit_of_row : ndarray of shape (n_images,), int64, 0 to n_units - 1
        What is dealt out whole: an image or a group.
    members : ndarray of shape (n_images, n_labels), bool
        Which image has which label.

    Returns
    -------
    ndarray of shape (n_units, n_labels + 1), int64
    """
    counts = np.zeros((int(unit_of_row.max()) + 1, members.shape[1] + 1), dtype=np.int64)
    np.add.at(counts, unit_of_row, np.column_stack([members, ~members.any(axis=1)]))
    return counts


def deal(counts: Numbers, sizes: Numbers, shares: Sequence[int], seed: int, start: Numbers | None = None) -> Numbers:
    """Return the part of each unit, so that every part gets its share of every label.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011, "On the Stratification of Multi-label Data",
    algorithm 1), with groups as units too: the label that the fewest units left have is dealt out first, its largest
    units first, each to the part that lacks most of the label; among equals to the one that lacks most of the unit's
    labels together, then most images, then by chance.

    Where each unit is one image and the shares are equal, no part gets more images of a label than its share rounded
    up, but for those that come with the image's other labels. (A part that is given an image for the sake of a label
    has no more of the label than any other part, so at most the share rounded down before the last one.)

    Parameters
    ----------
    counts : ndarray of shape (n_units, n_labels), int64
        The images of each label in each unit; each unit has some.
    sizes : ndarray of shape (n_units,), int64
        The images in each unit.
    shares
        What the parts are to have, as whole numbers in proportion.
    seed
        Orders units that are alike, and settles ties.
    start : ndarray of shape (n_units,), int64, optional
        The part of units that are dealt out already; -1 for those that are left.
    """
    random = np.random.default_rng(seed)
    part_of_unit = np.full(len(counts), -1, dtype=np.int64) if start is None else start.copy()
    weights, has = np.asarray(shares, dtype=np.int64), counts > 0
    columns = np.column_stack([counts, sizes])
    # What the parts lack, times the sum of the shares: whole numbers, so that ties are ties on every machine.
    lacking = weights[:, None] * columns.sum(axis=0)
    given = part_of_unit >= 0
    np.subtract.at(lacking, part_of_unit[given], weights.sum() * columns[given])
    turn = random.permutation(len(counts))
    while len(turn := turn[part_of_unit[turn] < 0]):
        left = has[turn].sum(axis=0)
        label = int(np.where(left > 0, left, len(counts) + 1).argmin())
        own = turn[has[turn, label]]
        for unit in own[np.argsort(-counts[own, label], kind="stable")]:
            together = lacking[:, :-1][:, has[unit]].sum(axis=1)
            part = np.lexsort((random.random(len(weights)), lacking[:, -1], together, lacking[:, label]))[-1]
            part_of_unit[unit] = part
            lacking[part] -= weights.sum() * columns[unit]
    return part_of_unit


def smallest_first(sizes: Numbers, seed: int) -> Numbers:
    """Return the units from the smallest to the largest, those of one size in an order that the seed decides."""
    turn = np.random.default_rng(seed).permutation(len(sizes))
    return turn[np.argsort(sizes[turn], kind="stable")]


def give(part_of_unit: Numbers, counts: Numbers, turn: Numbers, label: int, part: int) -> bool:
    """Give a part the first unit left that has a label, unless it has one; False where there is none left.

    Parameters
    ----------
    part_of_unit : ndarray of shape (n_units,), int64
        The part of each unit, -1 for those that are left; it is changed.
    counts : ndarray of shape (n_units, n_labels), int64
        The images of each label in each unit.
    turn : ndarray of shape (n_units,), int64
        The units in the order in which they are given.
    label, part
        What is to be in which part.
    """
    if counts[part_of_unit == part, label].any():
        return True
    free = turn[(part_of_unit[turn] < 0) & (counts[turn, label] > 0)]
    part_of_unit[free[:1]] = part
    return len(free) > 0

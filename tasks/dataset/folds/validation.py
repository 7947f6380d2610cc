"""Validation images: drawn from the training folds, for early stopping only."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tasks.config import InputError
from tasks.dataset.folds.folds_file import Rows
from tasks.dataset.folds.iterative import deal, give, smallest_first, unit_counts
from tasks.dataset.folds.kinds import derived_seed
from tasks.dataset.manifest import DECLARED, Manifest
from tasks.dataset.targets import memberships

_MOST_PARTS = 10
_FINEST = 10_000
_TRAINING, _VALIDATION = 0, 1


def validation_rows(manifest: Manifest, rest: Rows, *, fraction: float, seed: int, fold: int) -> Rows:
    """Return the rows among `rest` that validate; the others train.

    Without groups, each class gives its share, rounded, but at least one image and never its last one. With groups, the
    images are cut into parts that keep groups whole, and the run of parts is taken that leaves every class in training,
    misses the fewest classes in validation and comes nearest to the fraction. Images with several labels, and those
    that are grouped only as copies of each other, are dealt out by iterative stratification once training has one of
    each class and, as far as the fraction goes, validation too.

    Parameters
    ----------
    manifest
        The images.
    rest : ndarray of shape (n,), int64
        Rows outside the tested fold and the holdout, in the order of their paths.
    fraction
        Above 0 and below 1.
    seed, fold
        What the draw depends on.

    Raises
    ------
    InputError
        If nothing can be taken without taking the last image or group of a class.
    """
    state = derived_seed(seed, fold)
    y, groups = manifest.y[rest], manifest.table["group"].to_numpy(dtype=object)[rest]
    grouped = any(group is not None for group in groups)
    if y.ndim == 2 or (grouped and manifest.table[DECLARED].iloc[rest].isna().all()):
        members = memberships(y, len(manifest.classes))
        units = np.unique(groups.astype(str), return_inverse=True)[1].reshape(-1) if grouped else np.arange(len(y))
        return rest[_by_unit(members, units, fraction, state, fold)]
    if grouped:
        return rest[_by_group(y, groups.astype(str), fraction, state, fold)]
    return rest[_by_class(y, fraction, state, fold)]


def _by_class(y: Rows, fraction: float, state: int, fold: int) -> Rows:
    random = np.random.default_rng(state)
    drawn = []
    for index in np.unique(y):
        members = random.permutation(np.flatnonzero(y == index))
        drawn.append(members[: min(max(round(fraction * len(members)), 1), len(members) - 1)])
    chosen = np.concatenate(drawn)
    if not len(chosen):
        raise InputError(
            f"No validation images can be drawn for fold {fold}: every class has a single image outside it. "
            "Add images or lower folds.n_splits."
        )
    return chosen


def _by_group(y: Rows, groups: np.ndarray, fraction: float, state: int, fold: int) -> Rows:
    most_parts = min(_MOST_PARTS, len(np.unique(groups)), int(np.bincount(y).max()))
    if most_parts > 1:
        share = Fraction(fraction).limit_denominator(most_parts)
        n_parts = share.denominator if 0 < share < 1 else most_parts
        taken = min(max(share.numerator, 1), n_parts - 1)
        part = _parts(y, groups, n_parts, state)
        choices = [np.isin(part, (first + np.arange(taken)) % n_parts) for first in range(n_parts)]
        scores = [_score(y, chosen, fraction) for chosen in choices]
        best = min(range(n_parts), key=lambda number: scores[number])
        if scores[best][0] == 0:
            return np.flatnonzero(choices[best])
    raise InputError(
        f"No validation images can be drawn for fold {fold} that keep groups whole and leave every class in training: "
        "outside that fold, a class has too few groups. Lower folds.n_splits, or add groups."
    )


def _by_unit(members: NDArray[np.bool_], unit_of_row: Rows, fraction: float, state: int, fold: int) -> Rows:
    counts, sizes = unit_counts(unit_of_row, members), np.bincount(unit_of_row)
    part, turn = np.full(len(sizes), -1, dtype=np.int64), smallest_first(sizes, state)
    for label in _scarcest_first(counts):
        give(part, counts, turn, label, _TRAINING)
    for label in _scarcest_first(counts):
        if sizes[part == _VALIDATION].sum() < fraction * len(members):
            give(part, counts, turn, label, _VALIDATION)
    share = Fraction(fraction).limit_denominator(_FINEST)
    shares = [share.denominator - share.numerator, share.numerator]
    chosen = np.flatnonzero(deal(counts, sizes, shares, state, part)[unit_of_row] == _VALIDATION)
    if not len(chosen):
        raise InputError(
            f"No validation images can be drawn for fold {fold} that leave every class in training: outside that fold, "
            "classes have too few images or groups. Lower folds.n_splits, or add images."
        )
    return chosen


def _scarcest_first(counts: Rows) -> Rows:
    n_units = (counts > 0).sum(axis=0)
    return np.argsort(n_units, kind="stable")[(n_units == 0).sum() :]


def _parts(y: Rows, groups: np.ndarray, n_parts: int, state: int) -> Rows:
    from sklearn.model_selection import StratifiedGroupKFold

    part = np.zeros(len(y), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with few images is what the score looks at
        splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=state)
        for number, (_, rows) in enumerate(splitter.split(y, y, groups)):
            part[rows] = number
    return part


def _score(y: Rows, chosen: np.ndarray, fraction: float) -> tuple[int, int, float]:
    """Classes lost from training, classes missing in validation, distance from the fraction."""
    classes = len(np.unique(y))
    lost = classes - len(np.unique(y[~chosen]))
    missing = classes - len(np.unique(y[chosen]))
    return lost + (not chosen.any()), missing, abs(float(chosen.mean()) - fraction)

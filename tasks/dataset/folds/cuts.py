"""Ways to cut images into folds: stratified, by group, by group with stratification; and what to say if none works."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tasks.config import InputError
from tasks.dataset.folds.folds_file import Rows
from tasks.dataset.folds.iterative import deal, give, smallest_first, unit_counts
from tasks.dataset.folds.kinds import Pool, counts_by, derived_seed
from tasks.dataset.wording import counted

_ATTEMPTS = 20
_OF_LOOKS = (
    " Images that look nearly the same count as one group (foldcam check shows them): "
    "data.audit.near_duplicates.join_distance says how near, data.allow_leaks lets images through that only look alike."
)


def cut(pool: Pool, kind: str, n_splits: int, seeds: Sequence[int]) -> list[Rows]:
    """Return the fold, 0 to n_splits - 1, of each image of the pool, once for each seed.

    Parameters
    ----------
    pool
        The images.
    kind
        `stratified`: every fold has every class, spread evenly; `stratified_group`: the same with groups whole, as
        evenly as they allow; `group`: groups whole and classes by chance, so that a fold may lack a class, but not
        the images outside it, which the model is trained on.
    n_splits
        Number of folds.
    seeds
        One for each time that the images are cut.

    Raises
    ------
    InputError
        If the images cannot be cut like that: with the class or the group, and the largest number of folds that works.
    """
    found = _cuts(pool, kind, n_splits, seeds)
    if found is not None:
        return found
    fewest = int(_units(pool, kind).sum(axis=0).min()) if kind != "group" else int(pool.group_of_row.max()) + 1
    works = range(min(n_splits - 1, fewest), 1, -1)
    largest = next((k for k in works if _cuts(pool, kind, k, seeds) is not None), 0)
    way_out = (
        f"The largest folds.n_splits that works here is {largest}."
        if largest
        else f"No number of folds works here: add images to that {pool.noun}, or leave it out."
    )
    raise InputError(f"{_what_is_wrong(pool, kind, n_splits)} {way_out}")


def _cuts(pool: Pool, kind: str, n_splits: int, seeds: Sequence[int]) -> list[Rows] | None:
    if kind != "group" and _units(pool, kind).sum(axis=0).min() < n_splits:
        return None
    ways = {"stratified": _stratified, "stratified_group": _stratified_group, "group": _group}
    way = _iterative if pool.by_iteration and kind != "group" else ways[kind]
    found = []
    for seed in seeds:
        fold = way(pool, n_splits, seed)
        if fold is None:
            return None
        found.append(fold)
    return found


def _stratified(pool: Pool, n_splits: int, seed: int) -> Rows:
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    return _numbered(splitter.split(np.zeros(len(pool.y)), pool.y), len(pool.y))


def _stratified_group(pool: Pool, n_splits: int, seed: int) -> Rows | None:
    from sklearn.model_selection import StratifiedGroupKFold

    for state in _states(seed):
        splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with few images is looked at below
            fold = _numbered(splitter.split(np.zeros(len(pool.y)), pool.y, pool.groups), len(pool.y))
        if counts_by(fold, pool.members, n_splits).min() > 0:
            return fold
    return _dealt_out(pool, n_splits, seed)


def _dealt_out(pool: Pool, n_splits: int, seed: int) -> Rows | None:
    """Give every fold each class first, the scarcest class and its smallest groups first, then spread what is left."""
    sizes = np.bincount(pool.group_of_row)
    counts = counts_by(pool.group_of_row, pool.members, len(sizes))
    by_size = smallest_first(sizes, seed)
    fold_of_group = _one_of_each(counts, by_size, n_splits)
    if fold_of_group is None:
        return None
    dealt = fold_of_group >= 0
    filled = np.bincount(fold_of_group[dealt], weights=sizes[dealt], minlength=n_splits)
    for group in by_size[~dealt[by_size]][::-1]:
        fold_of_group[group] = filled.argmin()
        filled[fold_of_group[group]] += sizes[group]
    return fold_of_group[pool.group_of_row]


def _iterative(pool: Pool, n_splits: int, seed: int) -> Rows | None:
    """Cut images or groups as iterative stratification deals them, else with one of each class to each fold first."""
    unit_of_row = pool.group_of_row if pool.has_groups else np.arange(len(pool.y))
    sizes, counts, shares = np.bincount(unit_of_row), unit_counts(unit_of_row, pool.members), [1] * n_splits
    for state in _states(seed):
        fold = deal(counts, sizes, shares, state)[unit_of_row]
        if counts_by(fold, pool.members, n_splits).min() > 0:
            return fold
    start = _one_of_each(counts[:, :-1], smallest_first(sizes, seed), n_splits)
    return None if start is None else deal(counts, sizes, shares, seed, start)[unit_of_row]


def _group(pool: Pool, n_splits: int, seed: int) -> Rows | None:
    from sklearn.model_selection import GroupKFold

    if pool.group_of_row.max() + 1 < n_splits:
        return None
    for state in _states(seed):
        splitter = GroupKFold(n_splits, shuffle=True, random_state=state)
        fold = _numbered(splitter.split(np.zeros(len(pool.y)), None, pool.groups), len(pool.y))
        if ((counts_by(fold, pool.members, n_splits) > 0).sum(axis=0) > 1).all():
            return fold
    return None


def _one_of_each(counts: Rows, turn: Rows, n_splits: int) -> Rows | None:
    """Give every fold a unit of each class, the scarcest class first; None where there is no unit left for one."""
    fold_of_unit = np.full(len(counts), -1, dtype=np.int64)
    scarcest_first = np.argsort((counts > 0).sum(axis=0), kind="stable")
    steps = ((index, fold) for index in scarcest_first for fold in range(n_splits))
    return fold_of_unit if all(give(fold_of_unit, counts, turn, *step) for step in steps) else None


def _states(seed: int) -> Iterable[int]:
    return (seed if attempt == 0 else derived_seed(seed, attempt) for attempt in range(_ATTEMPTS))


def _units(pool: Pool, kind: str) -> np.ndarray:
    """Which unit (an image, or a group where groups stay whole) has images of which class."""
    if kind == "stratified":
        return pool.members
    return counts_by(pool.group_of_row, pool.members, int(pool.group_of_row.max()) + 1) > 0


def _what_is_wrong(pool: Pool, kind: str, n_splits: int) -> str:
    units = _units(pool, kind)
    n_units = units.sum(axis=0)
    scarcest, fewest = pool.classes[int(n_units.argmin())], int(n_units.min())
    if kind == "group":
        return _what_is_wrong_by_group(pool, scarcest, fewest, len(units), n_splits)
    if fewest < n_splits:
        has = f"images of {counted(fewest, 'group')}"
        if not pool.declared:
            has = counted(fewest, "different image" if pool.has_groups else "image")
        of_looks = _OF_LOOKS if pool.has_groups and not pool.declared else ""
        return (
            f"The {pool.noun} {scarcest!r} has {has} outside the holdout, too few for {n_splits} folds: each fold "
            f"needs one of every {pool.noun}.{of_looks}"
        )
    if kind == "stratified":
        return (
            f"The images cannot be cut into {n_splits} folds that each hold every label: too many labels stand on the "
            "same images."
        )
    names, sizes = np.unique(pool.groups.astype(str), return_counts=True)
    largest = int(sizes.argmax())
    return (
        f"The images cannot be cut into {n_splits} folds that keep groups whole and each hold every {pool.noun}: the "
        f"group {str(names[largest])!r} alone has {sizes[largest]:,} of {len(pool.y):,} images, and a group cannot be "
        f"split.{_OF_LOOKS}"
    )


def _what_is_wrong_by_group(pool: Pool, scarcest: str, fewest: int, n_groups: int, n_splits: int) -> str:
    if fewest < 2:
        return (
            f"The {pool.noun} {scarcest!r} has images of {counted(fewest, 'group')} outside the holdout, and it needs "
            "two: the model tested on a group is trained on the others."
        )
    if n_groups < n_splits:
        return f"There are {counted(n_groups, 'group')} outside the holdout, too few for {n_splits} folds."
    return (
        f"Cut into {n_splits} folds by chance, {_ATTEMPTS} times, the groups left a {pool.noun} with all its "
        f"images in one fold, so that the model tested there never sees it in training; {scarcest!r} has images of "
        f"{counted(fewest, 'group')}. folds.kind: stratified_group spreads them."
    )


def _numbered(splits: Iterable[tuple[Any, Any]], n_images: int) -> Rows:
    fold = np.full(n_images, -1, dtype=np.int64)
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return fold

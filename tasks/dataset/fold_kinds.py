"""The ways to cut images into folds: stratified, by group with stratification, ready-made."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.config import Folds, InputError
from tasks.dataset.folds_file import Rows, refuse_split_groups
from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import counted, listed

_ATTEMPTS = 20


@dataclass(frozen=True)
class Pool:
    """The images that the folds share, in the order of their paths."""

    rows: Rows
    y: NDArray[np.int64]
    groups: NDArray[np.object_]
    folds: NDArray[np.object_]
    classes: tuple[str, ...]

    @property
    def has_groups(self) -> bool:
        """Whether the images have groups."""
        return any(group is not None for group in self.groups)

    def groups_of(self, index: int) -> list[str]:
        """Return the groups that have images of a class, sorted."""
        return sorted(set(self.groups[self.y == index]))


def pool_of(manifest: Manifest) -> Pool:
    """Return the images of the manifest that are not held out, in the order of their paths."""
    table = manifest.table
    order = np.argsort(table["path"].to_numpy(dtype=object), kind="stable")
    rows = order[(table["split"] != "holdout").to_numpy()[order]].astype(np.int64)
    groups, folds = (table[name].to_numpy(dtype=object)[rows] for name in ("group", "fold"))
    return Pool(rows, manifest.y[rows], groups, folds, manifest.classes)


def chosen_kind(pool: Pool, folds: Folds) -> str:
    """Return `stratified`, `stratified_group` or `ready_made`, as the settings and the images say.

    Raises
    ------
    InputError
        If the setting asks for what the images do not have, or would split groups.
    """
    has_folds = any(fold is not None for fold in pool.folds)
    if folds.kind == "auto":
        return "ready_made" if has_folds else "stratified_group" if pool.has_groups else "stratified"
    if folds.kind == "ready_made" and not has_folds:
        raise InputError(
            "folds.kind is ready_made, and the data has no fold folders. Lay it out as FOLD/CLASS/ with data.reader: "
            "fold_folders, or let foldcam cut the folds with folds.kind: auto."
        )
    if folds.kind == "stratified_group" and not pool.has_groups:
        raise InputError(
            "folds.kind is stratified_group, and the images have no groups. Give data.groups a pattern that finds them."
        )
    if folds.kind == "stratified" and pool.has_groups:
        raise InputError(
            "folds.kind is stratified, which splits groups, and data.groups says that groups must never be split. "
            "Use folds.kind: stratified_group, or take data.groups away."
        )
    return folds.kind


def stratified(pool: Pool, n_splits: int, seed: int) -> Rows:
    """Return the fold of each image of the pool; each class is spread evenly, to one image.

    Raises
    ------
    InputError
        If a class has fewer images than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(pool.y, minlength=len(pool.classes))
    if counts.min() < n_splits:
        least = int(counts.argmin())
        raise InputError(
            f"The class {pool.classes[least]!r} has {counted(int(counts[least]), 'image')} outside the holdout, "
            f"too few for {n_splits} folds: each fold needs one of every class. {_way_out(int(counts[least]))}"
        )
    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    return _numbered(splitter.split(np.zeros(len(pool.y)), pool.y), len(pool.y))


def by_group(pool: Pool, n_splits: int, seed: int) -> Rows:
    """Return the fold of each image of the pool; groups stay whole and every fold has every class.

    Raises
    ------
    InputError
        If a class has fewer groups than there are folds, or large groups leave a fold without a class.
    """
    groups_by_class = [len(pool.groups_of(index)) for index in range(len(pool.classes))]
    fewest = int(np.argmin(groups_by_class))
    if groups_by_class[fewest] >= n_splits:
        fold = _group_folds(pool, n_splits, seed)
        if fold is not None:
            return fold
    works = range(min(n_splits - 1, groups_by_class[fewest]), 1, -1)
    largest = next((k for k in works if _group_folds(pool, k, seed) is not None), 0)
    if groups_by_class[fewest] < n_splits:
        raise InputError(
            f"The class {pool.classes[fewest]!r} has images of {counted(groups_by_class[fewest], 'group')} outside the "
            f"holdout, too few for {n_splits} folds: each fold needs one of every class. {_way_out(largest)}"
        )
    raise InputError(f"{_largest_group(pool, n_splits)} {_way_out(largest)}")


def _group_folds(pool: Pool, n_splits: int, seed: int) -> Rows | None:
    """Folds that keep groups whole and hold every class, or None where neither way of cutting finds any."""
    from sklearn.model_selection import StratifiedGroupKFold

    for attempt in range(_ATTEMPTS):
        state = seed if attempt == 0 else derived_seed(seed, attempt)
        splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with few images is looked at below
            fold = _numbered(splitter.split(np.zeros(len(pool.y)), pool.y, pool.groups), len(pool.y))
        if _class_counts(fold, pool.y, n_splits, len(pool.classes)).min() > 0:
            return fold
    return _dealt_out(pool, n_splits, seed)


def _dealt_out(pool: Pool, n_splits: int, seed: int) -> Rows | None:
    """Give every fold each class first, the scarcest class and its smallest groups first, then spread what is left."""
    names, group_of_row = np.unique(pool.groups.astype(str), return_inverse=True)
    counts = _class_counts(group_of_row, pool.y, len(names), len(pool.classes))
    sizes, fold_of_group = counts.sum(axis=1), np.full(len(names), -1, dtype=np.int64)
    by_size = np.random.default_rng(seed).permutation(len(names))
    by_size = by_size[np.argsort(sizes[by_size], kind="stable")]
    for index in np.argsort((counts > 0).sum(axis=0), kind="stable"):
        for fold in range(n_splits):
            if counts[fold_of_group == fold, index].any():
                continue
            free = [group for group in by_size if fold_of_group[group] < 0 and counts[group, index]]
            if not free:
                return None
            fold_of_group[free[0]] = fold
    dealt = fold_of_group >= 0
    filled = np.bincount(fold_of_group[dealt], weights=sizes[dealt], minlength=n_splits)
    for group in by_size[~dealt[by_size]][::-1]:
        fold_of_group[group] = filled.argmin()
        filled[fold_of_group[group]] += sizes[group]
    return fold_of_group[group_of_row]


def _largest_group(pool: Pool, n_splits: int) -> str:
    names, sizes = np.unique(pool.groups.astype(str), return_counts=True)
    largest = int(sizes.argmax())
    return (
        f"The images cannot be cut into {n_splits} folds that keep groups whole and each hold every class: the group "
        f"{str(names[largest])!r} alone has {sizes[largest]:,} of {len(pool.y):,} images, and a group cannot be split."
    )


def ready_made(pool: Pool) -> Rows:
    """Return the fold of each image of the pool, the data's own folds numbered by their sorted names.

    Raises
    ------
    InputError
        If there are fewer than two, an image has none, a class stands in one only, or a group stands in two.
    """
    without = int(sum(fold is None for fold in pool.folds))
    if without:
        raise InputError(f"{counted(without, 'image')} of {len(pool.folds):,} belong to no ready-made fold.")
    names = sorted(set(pool.folds))
    if len(names) < 2:
        raise InputError(f"There is one ready-made fold only ({listed(names)}); cross-validation needs two at least.")
    place = {name: number for number, name in enumerate(names)}
    fold = np.array([place[name] for name in pool.folds], dtype=np.int64)
    for index, label in enumerate(pool.classes):
        within = np.unique(fold[pool.y == index])
        if len(within) < 2:
            raise InputError(
                f"The class {label!r} has images in {counted(len(within), 'ready-made fold')} only, so the model "
                "tested there never sees it in training. Spread it over two folds, or choose another folds.kind."
            )
    if pool.has_groups:
        refuse_split_groups(pool.groups, fold, "The ready-made folds")
    return fold


def derived_seed(*parts: int) -> int:
    """Return a seed from 0 to 2**32 - 1 that follows from all the parts."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _numbered(splits: Iterable[tuple[Any, Any]], n_images: int) -> Rows:
    fold = np.full(n_images, -1, dtype=np.int64)
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return fold


def _class_counts(fold: Rows, y: Rows, n_splits: int, n_classes: int) -> Rows:
    counts = np.zeros((n_splits, n_classes), dtype=np.int64)
    np.add.at(counts, (fold, y), 1)
    return counts


def _way_out(largest: int) -> str:
    if largest >= 2:
        return f"The largest folds.n_splits that works here is {largest}."
    return "No number of folds works here: add images to that class, or leave it out."

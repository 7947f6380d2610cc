"""What the folds share out, and which way of cutting suits it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks.config import Folds, InputError
from tasks.dataset.folds.folds_file import Rows
from tasks.dataset.manifest import DECLARED, Manifest
from tasks.dataset.targets import memberships
from tasks.dataset.wording import counted, listed


@dataclass(frozen=True)
class Pool:
    """The images that the folds share, in the order of their paths."""

    rows: Rows
    """Their rows in the manifest."""
    y: NDArray[np.int64]
    """Of shape (n,), or (n, n_classes), 0 or 1, for several labels an image."""
    groups: NDArray[np.object_]
    """What must stay together, of shape (n,), str or None."""
    declared: bool
    """Whether the data says so of some images; else they are only copies of each other."""
    folds: NDArray[np.object_]
    """The names of the ready-made folds, of shape (n,), str or None."""
    classes: tuple[str, ...]

    @property
    def has_groups(self) -> bool:
        """Whether some images must stay together."""
        return any(group is not None for group in self.groups)

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return self.y.ndim == 2

    @property
    def by_iteration(self) -> bool:
        """Whether iterative stratification cuts them: several labels an image, or copies among single images."""
        return self.several or (self.has_groups and not self.declared)

    @property
    def noun(self) -> str:
        """What people call a class of these images."""
        return "label" if self.several else "class"

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """Which image is of which class, of shape (n, n_classes)."""
        return memberships(self.y, len(self.classes))

    @cached_property
    def group_of_row(self) -> Rows:
        """The number of each image's group among the sorted names of the groups, of shape (n,)."""
        return np.unique(self.groups.astype(str), return_inverse=True)[1].reshape(-1).astype(np.int64)


def pool_of(manifest: Manifest) -> Pool:
    """Return the images of the manifest that are not held out, in the order of their paths."""
    table = manifest.table
    order = np.argsort(table["path"].to_numpy(dtype=object), kind="stable")
    rows = order[(table["split"] != "holdout").to_numpy()[order]].astype(np.int64)
    groups, folds = (table[name].to_numpy(dtype=object)[rows] for name in ("group", "fold"))
    declared = bool(table[DECLARED].iloc[rows].notna().any())
    return Pool(rows, manifest.y[rows], groups, declared, folds, manifest.classes)


def counts_by(part_of_row: Rows, members: NDArray[np.bool_], n_parts: int) -> Rows:
    """Return the number of images of each class in each part, of shape (n_parts, n_classes)."""
    counts = np.zeros((n_parts, members.shape[1]), dtype=np.int64)
    np.add.at(counts, part_of_row, members)
    return counts


def chosen_kind(pool: Pool, folds: Folds) -> str:
    """Return `stratified`, `stratified_group`, `group` or `ready_made`, as the settings and the images say.

    Copies of one picture stay together too, so `stratified` of images that hold some is `stratified_group`.

    Raises
    ------
    InputError
        If the setting asks for what the images do not have, would split declared groups, or repeats ready-made folds.
    """
    has_folds = any(fold is not None for fold in pool.folds)
    kind: str = folds.kind
    if kind == "auto" and has_folds:
        kind = "ready_made"
    elif kind in ("auto", "stratified"):
        kind = "stratified_group" if pool.has_groups else "stratified"
    if kind == "ready_made" and not has_folds:
        raise InputError(
            "folds.kind is ready_made, and the data has no folds. Lay it out as FOLD/CLASS/ with data.reader: "
            "fold_folders, name a table's column of folds as data.table.fold, or let foldcam cut the folds with "
            "folds.kind: auto."
        )
    if folds.kind in ("group", "stratified_group") and not pool.declared:
        raise InputError(
            f"folds.kind is {folds.kind}, and the images have no groups. Give data.groups a pattern or a column that "
            "finds them."
        )
    if folds.kind == "stratified" and pool.declared:
        raise InputError(
            "folds.kind is stratified, which splits groups, and data.groups says that groups must never be split. "
            "Use folds.kind: stratified_group, or take data.groups away."
        )
    if kind == "ready_made" and folds.n_repeats > 1:
        raise InputError(
            f"folds.n_repeats is {folds.n_repeats}, and the data's own folds cannot be cut anew. Leave folds.n_repeats "
            "out, or let foldcam cut the folds with folds.kind: stratified."
        )
    return kind


def ready_made(pool: Pool) -> Rows:
    """Return the fold of each image of the pool, the data's own folds numbered by their sorted names.

    Raises
    ------
    InputError
        If there are fewer than two, or an image has none.
    """
    without = int(sum(fold is None for fold in pool.folds))
    if without:
        raise InputError(f"{counted(without, 'image')} of {len(pool.folds):,} belong to no ready-made fold.")
    names = sorted(set(pool.folds))
    if len(names) < 2:
        raise InputError(f"There is one ready-made fold only ({listed(names)}); cross-validation needs two at least.")
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[name] for name in pool.folds], dtype=np.int64)


def refuse_unseen(pool: Pool, fold: Rows) -> None:
    """Raise an InputError if a class stands in one fold only, so that the model tested there never learns it.

    Parameters
    ----------
    pool
        The images.
    fold : ndarray of shape (n,), int64
        The fold of each image of the pool.
    """
    for label, within in zip(pool.classes, pool.members.T, strict=True):
        n_folds = len(np.unique(fold[within]))
        if n_folds < 2:
            raise InputError(
                f"The {pool.noun} {label!r} has images in {counted(n_folds, 'ready-made fold')} only, so the model "
                "tested there never sees it in training. Spread it over two folds, or let foldcam cut them."
            )


def derived_seed(*parts: int) -> int:
    """Return a seed from 0 to 2**32 - 1 that follows from all the parts."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])

"""Folds: disjoint parts of the images, and the rows that train, stop, test or stay out of a fold run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.config import Folds
from tasks.dataset.fold_kinds import by_group, chosen_kind, pool_of, ready_made, stratified
from tasks.dataset.folds_file import Rows, folds_table, read_folds, write_folds
from tasks.dataset.manifest import Manifest
from tasks.dataset.validation import validation_rows

__all__ = ["FoldRows", "assign_folds", "fold_rows", "folds_table", "read_folds", "write_folds"]


def assign_folds(manifest: Manifest, folds: Folds, *, seed: int) -> Rows:
    """Return the fold of every image; the order of the files on disk and in the table changes nothing.

    Parameters
    ----------
    manifest
        The images.
    folds
        The experiment file's `folds`; with `folds.file` set, that file decides alone.
    seed
        From 0 to 2**32 - 1; moves the images about where there is a choice.

    Returns
    -------
    ndarray of shape (n_images,), int64, 0 to k - 1; -1 for images that are held out

    Raises
    ------
    InputError
        If the images cannot be cut as asked: it names the class or the group and the largest number of folds that
        works.
    """
    if folds.file is not None:
        return read_folds(folds.file, manifest)
    pool = pool_of(manifest)
    fold_of_row = np.full(len(manifest.table), -1, dtype=np.int64)
    kind = chosen_kind(pool, folds)
    if kind == "ready_made":
        fold_of_row[pool.rows] = ready_made(pool)
    elif kind == "stratified_group":
        fold_of_row[pool.rows] = by_group(pool, folds.n_splits, seed)
    else:
        fold_of_row[pool.rows] = stratified(pool, folds.n_splits, seed)
    return fold_of_row


@dataclass(frozen=True)
class FoldRows:
    """The rows of the manifest that a fold run uses, each sorted, no row in two of them."""

    train: Rows
    """Fitted on."""
    validation: Rows
    """Watched for early stopping and the learning rate."""
    test: Rows
    """The fold itself: scored once, at the end."""
    holdout: Rows
    """The data's own test split: scored by the ensemble of all folds."""


def fold_rows(manifest: Manifest, fold_of_row: Rows, fold: int, *, validation_fraction: float, seed: int) -> FoldRows:
    """Return the rows that train, validate, test and stay out when `fold` is tested.

    Parameters
    ----------
    manifest
        The images.
    fold_of_row : ndarray of shape (n_images,), int64
        From `assign_folds`.
    fold
        The fold that is tested.
    validation_fraction
        The share of the other folds' images that validates, above 0 and below 1; by group where there are groups, and
        then as near as whole groups come.
    seed
        The validation images depend on it and on `fold` alone.

    Raises
    ------
    InputError
        If no validation images can be drawn that leave every class in training.
    RuntimeError
        If an image or a group stood in two parts; it cannot happen with folds from `assign_folds`.
    """
    rest = np.flatnonzero((fold_of_row >= 0) & (fold_of_row != fold))
    rest = rest[np.argsort(manifest.table["path"].to_numpy(dtype=object)[rest], kind="stable")]
    validation = validation_rows(manifest, rest, fraction=validation_fraction, seed=seed, fold=fold)
    rows = FoldRows(
        train=np.setdiff1d(rest, validation),
        validation=np.sort(validation),
        test=np.flatnonzero(fold_of_row == fold),
        holdout=np.flatnonzero(fold_of_row < 0),
    )
    _refuse_overlap(manifest, rows)
    return rows


def _refuse_overlap(manifest: Manifest, rows: FoldRows) -> None:
    parts = {"train": rows.train, "validation": rows.validation, "test": rows.test}
    for column in ("path", "group"):
        values = manifest.table[column].to_numpy(dtype=object)
        seen: dict[str, str] = {}
        for name, part in parts.items():
            for value in set(values[part]) - {None}:
                if seen.setdefault(value, name) != name:
                    raise RuntimeError(f"the {column} {value!r} is both in {seen[value]} and in {name}")

"""Folds: disjoint parts of the images, and the rows that train, stop, test or stay out of a fold run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.config import Folds, InputError
from tasks.dataset.folds.cuts import cut
from tasks.dataset.folds.folds_file import Rows, by_repeat, folds_table, read_folds, write_folds
from tasks.dataset.folds.kinds import Pool, chosen_kind, derived_seed, pool_of, ready_made, refuse_unseen
from tasks.dataset.folds.leaks import assert_disjoint, refuse_leaks
from tasks.dataset.folds.validation import validation_rows
from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import counted

__all__ = ["FoldRows", "assign_folds", "by_repeat", "fold_rows", "folds_table", "read_folds", "write_folds"]

_REPEAT = 1


def assign_folds(manifest: Manifest, folds: Folds, *, seed: int) -> Rows:
    """Return the folds of every image; the order of the files on disk and in the table changes nothing.

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
        With several repeats of shape (n_images, n_repeats): cut anew in each column, fold numbers running on, so that
        column r holds the folds r k to r k + k - 1.

    Raises
    ------
    InputError
        If the images cannot be cut as asked: it names the class or the group and the largest number of folds that
        works. As a `leaks.Leak`, if the data's own folds or holdout, or the file, split what the manifest's `group`
        keeps together.
    """
    pool = pool_of(manifest)
    if folds.file is not None:
        kind, fold_of_row = "file", _of_file(manifest, folds.file, folds.n_repeats)
    else:
        kind = chosen_kind(pool, folds)
        fold_of_row = _cut(manifest, pool, kind, folds, seed)
    groups = manifest.table["group"].to_numpy(dtype=object)
    for fold in by_repeat(fold_of_row).T:
        if kind in ("file", "ready_made"):
            refuse_unseen(pool, fold[pool.rows])
        refuse_leaks(manifest, groups, fold)
    return fold_of_row


def _cut(manifest: Manifest, pool: Pool, kind: str, folds: Folds, seed: int) -> Rows:
    if kind == "ready_made":
        cuts = [ready_made(pool)]
    else:
        seeds = [seed, *(derived_seed(seed, repeat, _REPEAT) for repeat in range(1, folds.n_repeats))]
        cuts = cut(pool, kind, folds.n_splits, seeds)
    fold_of_row = np.full((len(manifest.table), len(cuts)), -1, dtype=np.int64)
    fold_of_row[pool.rows] = np.stack(cuts, axis=1) + folds.n_splits * np.arange(len(cuts))
    return fold_of_row if len(cuts) > 1 else fold_of_row[:, 0]


def _of_file(manifest: Manifest, file: Path, wanted: int) -> Rows:
    fold_of_row = read_folds(file, manifest)
    n_repeats = by_repeat(fold_of_row).shape[1]
    if wanted not in (1, n_repeats):
        raise InputError(
            f"folds.n_repeats is {wanted}, and {file} holds {counted(n_repeats, 'repeat')}, which "
            "decides. Leave folds.n_repeats out, or leave folds.file out to cut new folds."
        )
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
    fold_of_row : ndarray of shape (n_images,) or (n_images, n_repeats), int64
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
    tested = (by_repeat(fold_of_row) == fold).any(axis=1)
    held_out = by_repeat(fold_of_row)[:, 0] < 0
    rest = np.flatnonzero(~tested & ~held_out)
    rest = rest[np.argsort(manifest.table["path"].to_numpy(dtype=object)[rest], kind="stable")]
    validation = validation_rows(manifest, rest, fraction=validation_fraction, seed=seed, fold=fold)
    rows = FoldRows(
        train=np.setdiff1d(rest, validation),
        validation=np.sort(validation),
        test=np.flatnonzero(tested),
        holdout=np.flatnonzero(held_out),
    )
    assert_disjoint(manifest.table["group"].to_numpy(dtype=object), vars(rows))
    return rows

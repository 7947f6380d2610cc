"""The leaks that people let through, and what every report says of them."""

from __future__ import annotations

import numpy as np

from tasks.config import Data
from tasks.dataset.folds.folds_file import Rows, by_repeat
from tasks.dataset.folds.leaks import allowed_images, effective_groups, groups_across
from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import counted, listed


def let_through(manifest: Manifest, fold_of_row: Rows, data: Data) -> tuple[str, ...]:
    """Return the paths of the images that only `data.allow_leaks` keeps from standing on one side of every split.

    Parameters
    ----------
    manifest
        From `kept_together`.
    fold_of_row : ndarray of shape (n_images,) or (n_images, n_repeats), int64
        The fold of every image; -1 for images that are held out.
    data
        The experiment file's `data`.
    """
    allowed = allowed_images(manifest, data.allow_leaks)
    if not allowed.any():
        return ()
    near = data.audit.near_duplicates
    strict = effective_groups(manifest, manifest.pairs, join_distance=near.join_distance)
    across = {group for fold in by_repeat(fold_of_row).T for group in groups_across(strict, fold)}
    split = np.isin(strict.astype(str), sorted(across))
    return tuple(manifest.table["path"][split & allowed])


def leak_warnings(manifest: Manifest, fold_of_row: Rows, data: Data) -> list[str]:
    """Return what every report must say of leaks that `data.allow_leaks` lets through; nothing if there are none.

    Parameters
    ----------
    manifest, fold_of_row, data
        As for `let_through`.
    """
    paths = let_through(manifest, fold_of_row, data)
    return [leak_warning(paths)] if paths else []


def leak_warning(paths: tuple[str, ...]) -> str:
    """Return what every report must say of these images, which `let_through` has found."""
    return (
        "Let through by data.allow_leaks although they belong with images on the other side of a split, by their "
        f"group, equal pixels or nearly equal looks: {counted(len(paths), 'image')}: {listed(paths, 3)}."
    )

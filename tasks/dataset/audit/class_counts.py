"""How many images there are of each class, in all and in each fold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.dataset.folds.folds_file import Rows, by_repeat
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import memberships


def class_members(manifest: Manifest) -> dict[str, NDArray[np.bool_]]:
    """Return which images have a class, a grade or a label, each of shape (n_images,).

    Where images have several labels, those with none come last, under the name for none.
    """
    has = memberships(manifest.y, len(manifest.classes))
    members = dict(zip(manifest.classes, has.T, strict=True))
    without = ~has.any(axis=1)
    return members | ({manifest.targets.none_name: without} if without.any() else {})


def class_counts(manifest: Manifest, fold_of_row: Rows) -> pd.DataFrame:
    """Return the number of images by class (rows) and fold (columns `0`, `1`, … and `holdout` where there is one).

    With several repeats, the folds of all of them are counted, and so each image once a repeat. An image with several
    labels counts for each of them, and one without any under the name for none.
    """
    columns, members = _columns(fold_of_row), class_members(manifest)
    counts = {name: [int((within & members[label]).sum()) for label in members] for name, within in columns.items()}
    return pd.DataFrame(counts, index=pd.Index(list(members), dtype=object))


def fold_sizes(fold_of_row: Rows) -> dict[str, int]:
    """Return the number of images in each fold of every repeat (`0`, `1`, … and `holdout` where there is one)."""
    return {name: int(within.sum()) for name, within in _columns(fold_of_row).items()}


def _columns(fold_of_row: Rows) -> dict[str, NDArray[np.bool_]]:
    folds = by_repeat(fold_of_row)
    columns = {str(fold): (folds == fold).any(axis=1) for fold in range(int(folds.max(initial=-1)) + 1)}
    held_out = folds[:, 0] < 0
    return columns | ({"holdout": held_out} if held_out.any() else {})

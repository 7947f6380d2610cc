"""The file `folds.csv`: folds written out, so that another experiment can use the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import InputError
from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import counted, listed, nearest_sibling

Rows = NDArray[np.int64]

_COLUMNS = ["path", "sha256", "label", "group", "fold"]


def folds_table(manifest: Manifest, fold_of_row: Rows) -> pd.DataFrame:
    """Return the table of images with their folds: `path`, `sha256`, `label`, `group`, `fold` (-1: held out)."""
    table = manifest.table[_COLUMNS[:-1]].copy()
    table["fold"] = fold_of_row
    return table


def write_folds(path: Path, manifest: Manifest, fold_of_row: Rows) -> None:
    """Write the folds as a CSV file in UTF-8 that `read_folds` takes."""
    folds_table(manifest, fold_of_row).to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def read_folds(path: Path, manifest: Manifest) -> Rows:
    """Return the fold of every image of the manifest, as the file says.

    Returns
    -------
    ndarray of shape (n_images,), int64, 0 to k - 1; -1 for images that are held out

    Raises
    ------
    InputError
        If the file is missing or no list of folds, if images or their pixels differ from the manifest's, if the folds
        are not numbered 0, 1, 2, … or differ from the manifest about the holdout, or if they split a group.
    """
    table = _read_table(path)
    _refuse_other_images(path, table, manifest)
    by_path = table.set_index("path")["fold"]
    numbers = by_path.reindex(manifest.table["path"])
    if not numbers.str.fullmatch(r"-1|[0-9]+").all():
        raise InputError(f"{path}: the column fold must hold whole numbers from 0 on, or -1 for the holdout.")
    fold = numbers.to_numpy(dtype=np.int64)
    pooled = (manifest.table["split"] != "holdout").to_numpy()
    if not np.array_equal(fold >= 0, pooled):
        astray = manifest.table["path"][(fold >= 0) != pooled]
        raise InputError(
            f"{path} and data.holdout differ about {counted(len(astray), 'image')} ({listed(astray)}): the file marks "
            "held-out images with the fold -1. Use the data.holdout of the experiment that wrote the file."
        )
    found = np.unique(fold[pooled])
    if len(found) < 2 or not np.array_equal(found, np.arange(len(found))):
        raise InputError(f"{path}: the folds must be 0, 1 and so on without gaps, at least two; found {listed(found)}.")
    groups = manifest.table["group"].to_numpy(dtype=object)
    has_group = pooled & np.array([group is not None for group in groups])
    refuse_split_groups(groups[has_group], fold[has_group], f"The folds in {path}")
    return fold


def refuse_split_groups(groups: NDArray[np.object_], fold: Rows, what: str) -> None:
    """Raise an InputError if a group stands in two folds.

    Parameters
    ----------
    groups : ndarray of shape (n,), str
    fold : ndarray of shape (n,), int64
    what
        The beginning of the message: what it was that split them.
    """
    first: dict[Any, int] = {}
    split = [group for group, number in zip(groups, fold, strict=True) if first.setdefault(group, number) != number]
    if split:
        names = list(dict.fromkeys(split))
        raise InputError(
            f"{what} split {counted(len(names), 'group')} that data.groups says must stay whole: {listed(names)}. "
            "Mend the folds or the pattern."
        )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"folds.file: there is no file {path}{nearest_sibling(path)}.") from None
    except (OSError, ValueError) as fault:
        raise InputError(f"folds.file: {path} cannot be read as a CSV file: {fault}") from fault
    missing = [name for name in ("path", "sha256", "fold") if name not in table.columns]
    if missing:
        raise InputError(f"folds.file: {path} has no column {listed(missing)}. Take a folds.csv that foldcam wrote.")
    twice = table["path"][table["path"].duplicated()]
    if len(twice):
        raise InputError(f"folds.file: {path} names an image twice: {listed(twice)}.")
    return table


def _refuse_other_images(path: Path, table: pd.DataFrame, manifest: Manifest) -> None:
    in_file = dict(zip(table["path"], table["sha256"], strict=True))
    in_data = dict(zip(manifest.table["path"], manifest.table["sha256"], strict=True))
    differences = {
        "not in the file": [name for name in in_data if name not in in_file],
        "in the file but not in the data": [name for name in in_file if name not in in_data],
        "with other pixels": [name for name in in_data if in_file.get(name, in_data[name]) != in_data[name]],
    }
    said = [f"{counted(len(names), 'image')} {how} ({listed(names, 3)})" for how, names in differences.items() if names]
    if said:
        raise InputError(
            f"folds.file: {path} was written for other images than those in {manifest.root}: {'; '.join(said)}. "
            "Give the same images back, or leave folds.file out to cut new folds."
        )

"""The file `folds.csv`: folds written out, so that another experiment can use the same ones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import InputError
from tasks.dataset.manifest import Manifest
from tasks.dataset.sources.table import check_ordinary
from tasks.dataset.spreadsheets import as_written, inert
from tasks.dataset.wording import counted, listed, nearest_sibling

Rows = NDArray[np.int64]

_COLUMNS = ["path", "sha256", "label", "group"]


def by_repeat(fold_of_row: Rows) -> Rows:
    """Return folds of shape (n_images,) or (n_images, n_repeats) as the latter, one column a repeat."""
    return fold_of_row.reshape(len(fold_of_row), -1)


def folds_table(manifest: Manifest, fold_of_row: Rows) -> pd.DataFrame:
    """Return the table of images with their folds (-1: held out).

    Its columns are `path`, `sha256`, `label`, `group` and `fold`, and, where the images were cut several times,
    `fold_1`, `fold_2` and so on: each has the fold numbers that follow those of the column before it.

    Parameters
    ----------
    manifest
        The images.
    fold_of_row : ndarray of shape (n_images,) or (n_images, n_repeats), int64
        From `assign_folds`.
    """
    table = manifest.table[_COLUMNS].copy()
    for repeat, fold in enumerate(by_repeat(fold_of_row).T):
        table[_column(repeat)] = fold
    return table


def write_folds(path: Path, manifest: Manifest, fold_of_row: Rows) -> None:
    """Write the folds as a CSV file in UTF-8 that `read_folds` takes."""
    inert(folds_table(manifest, fold_of_row)).to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def read_folds(path: Path, manifest: Manifest) -> Rows:
    """Return the folds of every image of the manifest, as the file says.

    Returns
    -------
    ndarray of shape (n_images,), or (n_images, n_repeats) where the file has several, int64; -1: held out

    Raises
    ------
    InputError
        If the file is missing or no list of folds, if images or their pixels differ from the manifest's, or if the
        folds are not numbered 0, 1, 2, … or differ from the manifest about the holdout.
    """
    table = _read_table(path)
    _refuse_other_images(path, table, manifest)
    ordered = table.set_index("path").loc[manifest.table["path"]]
    columns = ["fold", *(name for name in map(str, table) if re.fullmatch("fold_[0-9]+", name))]
    if columns != [_column(repeat) for repeat in range(len(columns))]:
        raise InputError(f"{path}: the columns of repeated folds must be fold, fold_1, fold_2 and so on, in order.")
    repeats = [_numbers(path, name, ordered[name], manifest) for name in columns]
    n_splits = int(repeats[0].max()) + 1
    for repeat, (name, fold) in enumerate(zip(columns, repeats, strict=True)):
        found, first = np.unique(fold[fold >= 0]), repeat * n_splits
        if len(found) < 2 or not np.array_equal(found, first + np.arange(n_splits)):
            raise InputError(
                f"{path}: the folds in the column {name} must be {first}, {first + 1} and so on without gaps, at least "
                f"two, and as many in each such column; found {listed(found)}."
            )
    return np.stack(repeats, axis=1) if len(repeats) > 1 else repeats[0]


def _column(repeat: int) -> str:
    return f"fold_{repeat}" if repeat else "fold"


def _numbers(path: Path, name: str, texts: pd.Series[str], manifest: Manifest) -> Rows:
    if not texts.str.fullmatch(r"-1|[0-9]{1,6}").all():
        raise InputError(f"{path}: the column {name} must hold whole numbers from 0 on, or -1 for the holdout.")
    fold: Rows = texts.to_numpy(dtype=np.int64)
    pooled = (manifest.table["split"] != "holdout").to_numpy()
    if not np.array_equal(fold >= 0, pooled):
        astray = manifest.table["path"][(fold >= 0) != pooled]
        raise InputError(
            f"{path} and data.holdout differ about {counted(len(astray), 'image')} ({listed(astray)}): the file marks "
            "held-out images with the fold -1. Use the data.holdout of the experiment that wrote the file."
        )
    return fold


def _read_table(path: Path) -> pd.DataFrame:
    try:
        check_ordinary(path)
        table = as_written(pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"folds.file: there is no file {path}{nearest_sibling(path)}.") from None
    except (OSError, ValueError) as fault:
        said = getattr(fault, "strerror", None) or " ".join(str(fault).split()).rstrip(".")
        raise InputError(f"folds.file: {path} cannot be read as a CSV file: {said}.") from fault
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

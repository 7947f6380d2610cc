"""Predictions of several fold runs put together: out-of-fold for the folds, averaged for the holdout."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

PROBABILITY = "prob/"
"""What the name of a probability column begins with; the class follows."""

HOLDOUT_FOLD = -1
"""The `fold` of images that stand in no fold."""

_NAMED = 5


def probability_columns(table: pd.DataFrame) -> list[str]:
    """Name the probability columns in the order of the classes."""
    return [name for name in table.columns if name.startswith(PROBABILITY)]


def pool_out_of_fold(tables: Sequence[pd.DataFrame], expected_paths: Collection[str] | None = None) -> pd.DataFrame:
    """One table in which every image has the prediction of the one model that never saw it.

    Parameters
    ----------
    tables
        A predictions table a fold: `path`, `sha256`, `fold`, `true`, `predicted`, and `prob/<class>` a class.
    expected_paths
        The images that must be there, and no others; None: whatever the tables hold.

    Returns
    -------
    DataFrame
        The rows of all tables, sorted by path. It does not depend on the order of the tables.

    Raises
    ------
    ValueError
        If there is no table, the tables have different columns, or an image is missing, doubled or unknown.
    """
    _check_columns(tables)
    pooled = pd.concat(tables, ignore_index=True).sort_values(["path", "fold"], ignore_index=True)
    doubled = pooled["path"].duplicated()
    if doubled.any():
        raise ValueError(f"An image is predicted by more than one fold: {_named(set(pooled.loc[doubled, 'path']))}.")
    if expected_paths is not None:
        _check_paths(set(pooled["path"]), set(expected_paths))
    return pooled


def average_probabilities(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Give the fold ensemble's predictions: the mean of the folds' probabilities for the same images.

    Parameters
    ----------
    tables
        A predictions table a fold, all of the same images; columns as in `pool_out_of_fold`.

    Returns
    -------
    DataFrame
        One row an image with the same columns, sorted by path. `prob/<class>` is the mean over the tables,
        `predicted` the class where it is largest (the first of equals), `fold` is -1.

    Raises
    ------
    ValueError
        If there is no table, or the tables differ in columns, images, pixels or true labels.
    """
    _check_columns(tables)
    ordered = sorted(tables, key=lambda table: tuple(sorted(set(table["fold"]))))
    aligned = [table.sort_values("path", ignore_index=True) for table in ordered]
    first, known = aligned[0], ["path", "sha256", "true"]
    if first["path"].duplicated().any():
        raise ValueError(
            f"An image stands twice in one table: {_named(set(first.loc[first['path'].duplicated(), 'path']))}."
        )
    for other in aligned[1:]:
        _check_paths(set(other["path"]), set(first["path"]))
        if len(other) != len(first) or not other[known].equals(first[known]):
            raise ValueError("The folds' tables differ in an image's pixels or true label, or hold an image twice.")
    columns = probability_columns(first)
    mean = np.mean([table[columns].to_numpy(dtype=np.float64) for table in aligned], axis=0)
    classes = np.array([name.removeprefix(PROBABILITY) for name in columns], dtype=object)
    out = first.copy()
    out["fold"] = HOLDOUT_FOLD
    out["predicted"] = classes[mean.argmax(axis=1)]
    out[columns] = mean
    return out


def _check_columns(tables: Sequence[pd.DataFrame]) -> None:
    if not tables:
        raise ValueError("There is no table of predictions to put together.")
    columns = list(tables[0].columns)
    for table in tables[1:]:
        if list(table.columns) != columns:
            raise ValueError(f"The tables have different columns: {columns} and {list(table.columns)}.")


def _check_paths(found: set[str], expected: set[str]) -> None:
    if missing := expected - found:
        raise ValueError(f"No prediction for {_named(missing)}.")
    if unknown := found - expected:
        raise ValueError(f"A prediction for an image that does not belong here: {_named(unknown)}.")


def _named(paths: set[str]) -> str:
    shown = sorted(paths)[:_NAMED]
    rest = len(paths) - len(shown)
    return ", ".join(f"`{path}`" for path in shown) + (f" and {rest} more" if rest else "")

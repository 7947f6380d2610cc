"""Predictions of several fold runs put together: out-of-fold for the folds, averaged for the holdout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions
from tasks.evaluation.outputs import decide
from tasks.evaluation.tables import PROBABILITY, THRESHOLD

HOLDOUT_FOLD = -1
"""The `fold` of images that stand in no fold."""

_NAMED = 5


def predictions_of(table: pd.DataFrame, targets: Targets) -> Predictions:
    """Return the labels, probabilities and decisions of a predictions table as arrays.

    Raises
    ------
    ValueError
        If a class has no probability column, or a label is none of the classes.
    """
    columns = [PROBABILITY + name for name in targets.classes]
    if missing := [name for name in columns if name not in table]:
        raise ValueError(f"The table of predictions has no column {missing[0]!r}.")
    try:
        y_true, y_pred = (targets.numbers(table[name].tolist()) for name in ("true", "predicted"))
    except KeyError as fault:
        raise ValueError(f"The table of predictions holds the label {fault}, which is no class.") from fault
    return Predictions(y_true, table[columns].to_numpy(dtype=np.float64), y_pred)


def pool_out_of_fold(
    tables: Sequence[pd.DataFrame], targets: Targets, expected_paths: Collection[str] | None = None
) -> pd.DataFrame:
    """One table in which every image has the prediction of models that never saw it.

    That is one model; where the images were cut into folds several times, it is one for each time: then `prob/<class>`
    and `threshold/<class>` are means over these models, `predicted` is decided anew, and `fold` is the lowest.

    Parameters
    ----------
    tables
        A predictions table a fold, as `predictions_table` gives it.
    targets
        The kind of labels and the classes.
    expected_paths
        The images that must be there, and no others, each as often as it is a test image of these folds; None:
        whatever the tables hold, once.

    Returns
    -------
    DataFrame
        The rows of all tables, sorted by path. It does not depend on the order of the tables.

    Raises
    ------
    ValueError
        If there is no table, the tables have different columns, an image is missing, predicted too often or unknown,
        or its pixels or true label differ.
    """
    _check_columns(tables)
    pooled = pd.concat(tables, ignore_index=True).sort_values(["path", "fold"], ignore_index=True)
    expected = Counter(set(pooled["path"]) if expected_paths is None else expected_paths)
    _check_paths(Counter(pooled["path"]), expected)
    if len(pooled) == len(expected):
        return pooled
    if pooled.duplicated(["path", "fold"]).any():
        raise ValueError("A fold's table holds an image twice.")
    by_image = pooled.groupby("path", sort=True)
    if (by_image[["sha256", "true"]].nunique() > 1).to_numpy().any():
        raise ValueError("The folds' tables differ in an image's pixels or true label.")
    first = pooled.drop_duplicates("path", ignore_index=True)
    return _decided(first, by_image[_values(pooled)].mean().to_numpy(), targets)


def average_probabilities(tables: Sequence[pd.DataFrame], targets: Targets) -> pd.DataFrame:
    """Give the fold ensemble's predictions: the mean of the folds' probabilities for the same images.

    Parameters
    ----------
    tables
        A predictions table a fold, all of the same images; columns as in `pool_out_of_fold`.
    targets
        The kind of labels and the classes.

    Returns
    -------
    DataFrame
        One row an image with the same columns, sorted by path. `prob/<class>` and `threshold/<class>` are means over
        the tables, `predicted` is what `outputs.decide` makes of them, `fold` is -1.

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
        _check_paths(Counter(set(other["path"])), Counter(first["path"]))
        if len(other) != len(first) or not other[known].equals(first[known]):
            raise ValueError("The folds' tables differ in an image's pixels or true label, or hold an image twice.")
    columns = _values(first)
    mean = np.mean([table[columns].to_numpy(dtype=np.float64) for table in aligned], axis=0)
    return _decided(first, mean, targets).assign(fold=HOLDOUT_FOLD)


def _values(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name.startswith((PROBABILITY, THRESHOLD))]


def _decided(table: pd.DataFrame, values: NDArray[np.float64], targets: Targets) -> pd.DataFrame:
    """Put other values into the columns `_values(table)`, and decide anew."""
    out = table.copy()
    out[_values(table)] = values
    probabilities, thresholds = (
        out[[part + name for name in targets.classes if part + name in out]].to_numpy(dtype=np.float64)
        for part in (PROBABILITY, THRESHOLD)
    )
    out["predicted"] = targets.texts(decide(probabilities, targets.kind, thresholds))
    return out


def _check_columns(tables: Sequence[pd.DataFrame]) -> None:
    if not tables:
        raise ValueError("There is no table of predictions to put together.")
    columns = list(tables[0].columns)
    for table in tables[1:]:
        if list(table.columns) != columns:
            raise ValueError(f"The tables have different columns: {columns} and {list(table.columns)}.")


def _check_paths(found: Counter[str], expected: Counter[str]) -> None:
    if missing := expected - found:
        raise ValueError(f"No prediction for {_named(set(missing))}.")
    if unknown := set(found) - set(expected):
        raise ValueError(f"A prediction for an image that does not belong here: {_named(unknown)}.")
    if doubled := found - expected:
        raise ValueError(f"An image is predicted by more than one fold: {_named(set(doubled))}.")


def _named(paths: set[str]) -> str:
    shown = sorted(paths)[:_NAMED]
    rest = len(paths) - len(shown)
    return ", ".join(f"`{path}`" for path in shown) + (f" and {rest} more" if rest else "")

"""Out-of-fold predictions as the table that study E wrote: one row an image, ready for a spreadsheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tasks.comparison.pooling import predictions_of
from tasks.dataset.spreadsheets import inert
from tasks.dataset.targets import Targets
from tasks.evaluation.calibration import confidence
from tasks.evaluation.outputs import right

COLUMNS = ("Fold", "Image", "Class", "Pred", "Conf", "Right?")


def study_e_rows(oof: pd.DataFrame, targets: Targets) -> pd.DataFrame:
    """Give one row an image, by fold and then by image.

    Parameters
    ----------
    oof
        Out-of-fold predictions: `path`, `fold`, `true`, `predicted`, and `prob/<class>` a class.
    targets
        The kind of labels and the classes.

    Returns
    -------
    DataFrame
        `Fold` (as in the experiment, from 0), `Image` (path below the data's folder), `Class` (true), `Pred`,
        `Conf` (probability of the predicted class or grade in percent, 0 to 100, four decimals), `Right?` (1 or 0).
        With several labels an image, `Class` and `Pred` hold all of them, `Right?` asks for all of them, and `Conf` is
        that of the least sure decision: the smallest among the probabilities of having each label that is given and
        of not having each other one.

    Raises
    ------
    ValueError
        If a class has no probability column, or a label is none of the classes.
    """
    ordered = oof.sort_values(["fold", "path"], ignore_index=True)
    found = predictions_of(ordered, targets)
    sure = confidence(found.y_prob, found.y_pred)
    return pd.DataFrame(
        {
            "Fold": ordered["fold"],
            "Image": ordered["path"],
            "Class": ordered["true"],
            "Pred": ordered["predicted"],
            "Conf": np.round(100 * (sure if sure.ndim == 1 else sure.min(axis=1)), 4),
            "Right?": right(found.y_true, found.y_pred).astype("int64"),
        },
        columns=list(COLUMNS),
    )


def write_study_e(path: Path, oof: pd.DataFrame, targets: Targets) -> None:
    """Write `study_e_rows(oof, targets)` with `;` between the columns and a decimal comma, in UTF-8."""
    rows = inert(study_e_rows(oof, targets))
    rows.to_csv(path, sep=";", decimal=",", index=False, encoding="utf-8", lineterminator="\n")

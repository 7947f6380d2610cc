"""Out-of-fold predictions as the table that study E wrote: one row an image, ready for a spreadsheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tasks.comparison.pooling import PROBABILITY, probability_columns

COLUMNS = ("Fold", "Image", "Class", "Pred", "Conf", "Right?")


def study_e_rows(oof: pd.DataFrame) -> pd.DataFrame:
    """Give one row an image, by fold and then by image.

    Parameters
    ----------
    oof
        Out-of-fold predictions: `path`, `fold`, `true`, `predicted`, and `prob/<class>` a class.

    Returns
    -------
    DataFrame
        `Fold` (as in the experiment, from 0), `Image` (path below the data's folder), `Class` (true), `Pred`,
        `Conf` (probability of the predicted class in percent, 0 to 100, four decimals), `Right?` (1 or 0).

    Raises
    ------
    ValueError
        If a predicted class has no probability column.
    """
    ordered = oof.sort_values(["fold", "path"], ignore_index=True)
    columns = probability_columns(ordered)
    place = pd.Index(columns).get_indexer(pd.Index(PROBABILITY + ordered["predicted"].astype(str)))
    if (place < 0).any():
        strange = sorted(set(ordered.loc[place < 0, "predicted"]))
        raise ValueError(f"No probability column for the predicted class {strange[0]!r}; there are {columns}.")
    confidence = ordered[columns].to_numpy(dtype=np.float64)[np.arange(len(ordered)), place]
    right = ordered["true"].astype(str) == ordered["predicted"].astype(str)
    return pd.DataFrame(
        {
            "Fold": ordered["fold"],
            "Image": ordered["path"],
            "Class": ordered["true"],
            "Pred": ordered["predicted"],
            "Conf": np.round(100 * confidence, 4),
            "Right?": right.astype("int64"),
        },
        columns=list(COLUMNS),
    )


def write_study_e(path: Path, oof: pd.DataFrame) -> None:
    """Write `study_e_rows(oof)` with `;` between the columns and a decimal comma, in UTF-8."""
    study_e_rows(oof).to_csv(path, sep=";", decimal=",", index=False, encoding="utf-8", lineterminator="\n")

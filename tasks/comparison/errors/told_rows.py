"""Rows of sheets whose text comes from a table of predictions, with a backbone's maps where there are any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from tasks.comparison.evidence import Evidence
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.opened import opened
from tasks.comparison.looks.shown_rows import ShownRows
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import masked
from tasks.explanation.fold_pictures import shown_labels
from tasks.explanation.sheet_row import WORDS, SheetRow


def told_rows(
    evidence: Evidence, backbone: str, table: pd.DataFrame, words: tuple[str, str] = WORDS
) -> Iterator[SheetRow]:
    """Yield a row an image: the image, its map by the model that never saw it, and what the table says of it.

    An image without a map stands there alone. A map that is not for the label that is told says what it is for.

    Parameters
    ----------
    evidence : Evidence
        What was done.
    backbone : str
        Whose maps are shown.
    table : DataFrame
        One row an image: `path`, `fold`, `first` and `second` (labels as the data writes them), `label` (the class that
        `probability` is of) and `probability` (0 to 1).
    words : tuple of str
        What stands before the first and the second label.
    """
    plan, targets = evidence.plan, evidence.plan.manifest.targets
    shown = ShownRows(plan, backbone, FoldExplanations.of(evidence.results[backbone], evidence.fetch))
    if plan.experiment.explanation.max_images == 0:
        found: list[SheetRow | None] = [None] * len(table)
    else:
        found = shown.rows(table["path"])
    own: Any
    for own, drawn in zip(table.itertuples(index=False), found, strict=True):
        row = _alone(evidence, own.path) if drawn is None else drawn
        if drawn is not None:
            mapped = targets.classes[int(shown.explained.get(own.path, targets.classes.index(own.label)))]
            row = replace(row, remark=row.remark or ("" if mapped == own.label else f"map for {mapped}"))
        yield replace(
            row,
            true=shown_labels(targets, own.first),
            predicted=shown_labels(targets, own.second),
            probability=float(own.probability),
            fold=int(own.fold),
            explained=own.label if targets.kind == "multilabel" else None,
            words=words,
        )


def _alone(evidence: Evidence, path: str) -> SheetRow:
    picture = opened(evidence.plan, path)
    image = masked(picture, shaping_of(evidence.plan.experiment.data.preprocessing))
    return SheetRow(image, None, path, (), (), 0.0, remark="no map")

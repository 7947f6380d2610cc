"""The part of a comparison that tells how the backbones learnt."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pandas as pd

from tasks.comparison.curves.learning_curves import ROLES, LearningCurves, band_table
from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Drawing, Section, Table
from tasks.comparison.text import count, listing, metric_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAND = "line: mean over the folds; area: from the least to the largest fold"


def curves_section(evidence: Evidence) -> Section | None:
    """Give the learning curves of all backbones, from their fold runs' `history.csv`; None where there is none."""
    curves = [own for name in evidence.results if (own := _read(evidence, name)).histories]
    if not curves:
        return None
    metrics = [name for name in ("loss", evidence.plan.experiment.metric) if _has(curves, name)]
    return Section(
        key="curves",
        title="Learning curves",
        sentences=_sentences(curves),
        tables=(_table(curves), _bands(curves, metrics)),
        drawings=tuple(_drawing(curves, name) for name in metrics),
    )


def _drawing(curves: list[LearningCurves], metric: str) -> Drawing:
    title = metric_title(metric)

    def draw() -> Figure:
        from tasks.comparison.curves.figure import curves_figure

        return curves_figure(curves, metric, title)

    return Drawing(
        f"learning_curves_{metric}",
        f"{_capital(title)} over the epochs on training and validation images; {_BAND}. All panels have one scale.",
        draw,
    )


def _read(evidence: Evidence, backbone: str) -> LearningCurves:
    found = []
    for fold in sorted(evidence.results[backbone].finished, key=lambda fold: fold.fold):
        if fold.run_id is None:
            continue
        try:
            history = pd.read_csv(evidence.fetch(fold.run_id, "history.csv"))
        except (OSError, ValueError):  # a record of its folds without curves is still one to compare
            continue
        if "epoch" in history and len(history):
            found.append(history)
    return LearningCurves(backbone, tuple(found))


def _has(curves: list[LearningCurves], metric: str) -> bool:
    return any(len(own.band(f"{role}/{metric}")) for own in curves for role in ROLES)


def _sentences(curves: list[LearningCurves]) -> tuple[str, ...]:
    unfinished = [own for own in curves if own.n_still_improving * 2 > len(own.histories)]
    if unfinished:
        named = [
            f"{own.backbone} ({own.n_still_improving} of {count(len(own.histories), 'fold')})" for own in unfinished
        ]
        first = (
            f"The validation loss was still falling in the last epoch in most folds of {listing(named)}: trained "
            "longer, they might do better, so their figures may understate them."
        )
    elif any(own.best_epochs for own in curves):
        first = (
            "No backbone was still improving in most of its folds: in half of them or more the least validation loss "
            "lies before the last epoch."
        )
    else:
        first = "No validation loss was recorded, so nothing tells whether training went on long enough."
    stopped = "Validation images stop the training and choose the epoch; no score in this report stands on them."
    return first, stopped


def _table(curves: list[LearningCurves]) -> Table:
    rows = []
    for own in curves:
        best = own.values("val/loss").min()
        rows.append(
            {
                "backbone": own.backbone,
                "n_folds": len(own.histories),
                "epochs": _spread(own.n_epochs),
                "best_epoch": _spread(own.best_epochs),
                "val_loss_mean": best.mean(),
                "val_loss_least": best.min(),
                "val_loss_largest": best.max(),
                "n_still_improving": own.n_still_improving,
            }
        )
    return Table(
        "learning",
        "How long each backbone was trained, and its least validation loss by fold.",
        pd.DataFrame(rows),
        {
            "backbone": "Backbone",
            "n_folds": "folds",
            "epochs": "epochs",
            "best_epoch": "best epoch",
            "val_loss_mean": "least validation loss, mean",
            "val_loss_least": "best fold",
            "val_loss_largest": "worst fold",
            "n_still_improving": "folds still improving",
        },
    )


def _bands(curves: list[LearningCurves], metrics: list[str]) -> Table:
    names = [f"{role}/{metric}" for metric in metrics for role in ROLES]
    return Table("learning_curves", "The learning curves' means and ranges by epoch.", band_table(curves, names), {})


def _spread(values: list[int]) -> str:
    """Write the median and, where they differ, the range."""
    if not values:
        return ""
    middle = f"{median(values):g}"
    return middle if min(values) == max(values) else f"{middle} ({min(values)} to {max(values)})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

"""The plots of a set of predictions, as PNG files in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tasks.config import Kind
from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.confusion import confusion_figure, label_confusion_figure
from tasks.evaluation.curves import calibration_figure, precision_recall_figure, roc_figure
from tasks.evaluation.progress import loss_figure, metrics_figure
from tasks.evaluation.style import ROLES, figure, save, shown, tidy, widest

_MOST_GROUPS = 12


def write_plots(
    folder: Path,
    y_true: np.ndarray,
    y_prob: np.ndarray,
    classes: Sequence[str],
    history: pd.DataFrame | None = None,
    counts: pd.DataFrame | None = None,
    *,
    kind: Kind = "multiclass",
    y_pred: np.ndarray | None = None,
) -> list[Path]:
    """Write the plots that these predictions and this history allow; give the files.

    Parameters
    ----------
    folder : Path
        Made if it is not there. The files: `confusion_matrix.png`, `roc.png`, `precision_recall.png`,
        `calibration.png`; with a history `loss.png` and `metrics.png`; with counts `class_counts.png`.
    y_true : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1, for `multilabel`
        Class or grade numbers, from 0 to n_classes - 1, or which labels an image has.
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Probabilities; rows sum to 1 but for `multilabel`.
    classes : sequence of str
        The labels in column order.
    history : DataFrame or None
        One row an epoch: `epoch`, `train/<metric>`, `val/<metric>`, `learning_rate`.
    counts : DataFrame or None
        Numbers of images: one row a class (the index), one column a role such as `train`, `validation`, `test`.
    kind
        The kind of labels.
    y_pred : ndarray like y_true, or None
        What was decided; None: what `outputs.decide` makes of the probabilities.

    Raises
    ------
    ValueError
        If labels and probabilities do not fit together, as in `score`.
    """
    y_true, y_prob, y_pred = checked_predictions(y_true, y_prob, len(classes), kind, y_pred)
    several = kind == "multilabel"
    dots = y_pred if several else None
    figures: dict[str, Figure | None] = {
        "confusion_matrix": (label_confusion_figure if several else confusion_figure)(y_true, y_pred, classes),
        "roc": roc_figure(y_true, y_prob, classes, dots),
        "precision_recall": precision_recall_figure(y_true, y_prob, classes, dots),
        "calibration": calibration_figure(y_true, y_prob, classes, kind, y_pred),
    }
    if history is not None and len(history):
        figures |= {"loss": loss_figure(history), "metrics": metrics_figure(history, kind)}
    if counts is not None:
        figures["class_counts"] = counts_figure(counts)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, drawn in figures.items():
        if drawn is not None:
            files.append(folder / f"{name}.png")
            save(drawn, files[-1])
    return files


def counts_figure(counts: pd.DataFrame) -> Figure:
    """Draw the number of images of each class in each role as bars, side by side or, for many classes, end to end.

    Parameters
    ----------
    counts : DataFrame
        One row a class (the index), one column a role.
    """
    n_classes, n_roles = counts.shape
    stacked = n_classes > _MOST_GROUPS
    thick = 0.8 if stacked else 0.8 / n_roles
    names = [shown(str(label)) for label in counts.index]
    height = 0.3 + 0.24 * n_classes * (1.1 if stacked else max(n_roles, 2))
    drawn = figure(5.6, height, left=widest(names, 10) + 0.3, right=widest(map(str, counts.columns), 9) + 0.8)
    axes = drawn.subplots()
    middle, left = np.arange(n_classes), np.zeros(n_classes)
    for number, role in enumerate(counts.columns):
        where = middle if stacked else middle + (number - (n_roles - 1) / 2) * thick
        name = str(role)
        bars = axes.barh(where, counts[role], 0.92 * thick, left, label=shown(name), color=ROLES.get(name))
        if stacked:
            left = left + counts[role].to_numpy()
        else:
            axes.bar_label(bars, padding=3, fontsize=8)
    if stacked:
        axes.bar_label(bars, [" · ".join(map(str, row)) for row in counts.to_numpy()], padding=3, fontsize=8)
    axes.set_yticks(middle, names)
    axes.set_ylim(n_classes - 0.4, -0.6)
    axes.margins(x=0.14 if stacked else 0.1)
    tidy(axes, "Images by class", "images", "")
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return drawn

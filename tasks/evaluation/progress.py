"""Training curves: the loss and the main metrics over the epochs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tasks.config import Kind
from tasks.evaluation.style import QUIET, ROLES, figure, shown, tidy

_ROLES = ("train", "val")
_MAIN: dict[Kind, tuple[str, ...]] = {
    "multiclass": ("accuracy", "balanced_accuracy", "roc_auc", "ece"),
    "ordinal": ("accuracy", "quadratic_kappa", "mean_absolute_error", "ece"),
    "multilabel": ("subset_accuracy", "f1_macro", "roc_auc", "ece"),
}
"""Metrics that have a panel, by kind of labels."""


def loss_figure(history: pd.DataFrame) -> Figure:
    """Draw the loss of training and validation images over the epochs, the best epoch and the learning rate.

    Parameters
    ----------
    history : DataFrame
        One row an epoch with the columns `epoch`, `train/loss`, `val/loss` and, if it is known, `learning_rate`.
    """
    has_rate = "learning_rate" in history
    drawn = figure(5.2, 4.0 if has_rate else 3.2)
    ratios = [4, 1] if has_rate else [1]
    panels = list(drawn.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False).ravel())
    _lines(panels[0], history, "loss")
    tidy(panels[0], "Loss", "", "")
    if "val/loss" in history and history["val/loss"].notna().any():
        best = float(history["epoch"].to_numpy()[int(np.nanargmin(history["val/loss"]))])
        told = f"least validation loss (epoch {best:g})"
        panels[0].axvline(best, color=QUIET, linewidth=0.9, linestyle=":", label=told)
    panels[0].legend(frameon=False, fontsize=9, loc="upper right")
    if has_rate:
        panels[1].plot(
            history["epoch"], history["learning_rate"], color=QUIET, drawstyle="steps-mid", marker="o", markersize=3
        )
        panels[1].set_yscale("log")
        rates = sorted(set(history["learning_rate"]))
        panels[1].set_yticks(rates[:: -(-len(rates) // 4)], minor=False)
        panels[1].yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        panels[1].yaxis.set_minor_locator(NullLocator())
        tidy(panels[1], "", "", "learning rate")
    panels[-1].set_xlabel("epoch")
    return drawn


def metrics_figure(history: pd.DataFrame, kind: Kind = "multiclass") -> Figure | None:
    """Draw the main metrics over the epochs, one panel each; None where there is none of them.

    The others are in the history and in MLflow.

    Parameters
    ----------
    history : DataFrame
        One row an epoch with a column `epoch` and columns such as `train/accuracy` and `val/accuracy`.
    kind
        The kind of labels, which decides what the main metrics are.
    """
    metrics = [name for name in _MAIN[kind] if any(f"{role}/{name}" in history for role in _ROLES)]
    if not metrics:
        return None
    columns = min(len(metrics), 2)
    rows = math.ceil(len(metrics) / columns)
    drawn = figure(3.3 * columns, 2.6 * rows)
    panels = drawn.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.28, "hspace": 0.42}).ravel()
    for axes, metric in zip(panels, metrics, strict=False):
        _lines(axes, history, metric)
        tidy(axes, shown(metric.replace("_", " ")), "", "")
        axes.yaxis.set_major_locator(MaxNLocator(4))
    for axes in panels[len(metrics) :]:
        axes.remove()
    for axes in panels[max(len(metrics) - columns, 0) : len(metrics)]:
        axes.set_xlabel("epoch")
    panels[0].legend(frameon=False, fontsize=9, loc="lower right")
    return drawn


def _lines(axes: Axes, history: pd.DataFrame, metric: str) -> None:
    for role, told in zip(_ROLES, ("training", "validation"), strict=True):
        column = f"{role}/{metric}"
        if column in history:
            axes.plot(history["epoch"], history[column], color=ROLES[role], marker="o", markersize=3, label=told)
    axes.set_xlim(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))

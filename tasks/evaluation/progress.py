"""Training curves: the loss and every other metric over the epochs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.evaluation.style import QUIET, ROLES, figure, shown, tidy

_ROLES = ("train", "val")


def loss_figure(history: pd.DataFrame) -> Figure:
    """Draw the loss of training and validation images over the epochs, the best epoch and the learning rate.

    Parameters
    ----------
    history : DataFrame
        One row an epoch with the columns `epoch`, `train/loss`, `val/loss` and, if it is known, `learning_rate`.
    """
    has_rate = "learning_rate" in history
    drawn = figure(6.4, 5.2 if has_rate else 4.2)
    ratios = [4, 1] if has_rate else [1]
    panels = list(drawn.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False).ravel())
    _lines(panels[0], history, "loss")
    tidy(panels[0], "Loss", "", "")
    if "val/loss" in history and history["val/loss"].notna().any():
        best = float(history["epoch"].to_numpy()[int(np.nanargmin(history["val/loss"]))])
        told = f"least validation loss (epoch {best:g})"
        panels[0].axvline(best, color=QUIET, linewidth=0.9, linestyle=":", label=told)
    panels[0].legend(frameon=False, fontsize=9)
    if has_rate:
        panels[1].plot(
            history["epoch"], history["learning_rate"], color=QUIET, drawstyle="steps-mid", marker="o", markersize=3
        )
        panels[1].set_yscale("log")
        tidy(panels[1], "", "", "learning rate")
    panels[-1].set_xlabel("epoch")
    return drawn


def metrics_figure(history: pd.DataFrame) -> Figure | None:
    """Draw every metric but the loss over the epochs, one panel each; None where there is no such metric.

    Parameters
    ----------
    history : DataFrame
        One row an epoch with a column `epoch` and columns such as `train/accuracy` and `val/accuracy`.
    """
    columns_named = [str(column).partition("/") for column in history]
    names = [name for role, _, name in columns_named if role in _ROLES]
    metrics = [name for name in dict.fromkeys(names) if name != "loss"]
    if not metrics:
        return None
    columns = min(len(metrics), 3)
    rows = math.ceil(len(metrics) / columns)
    drawn = figure(max(4.2 * columns, 6.4), 3.4 * rows if rows > 1 else 4.2, arranged=len(metrics) > 1)
    panels = drawn.subplots(rows, columns, squeeze=False).ravel()
    for axes, metric in zip(panels, metrics, strict=False):
        _lines(axes, history, metric)
        tidy(axes, shown(metric.replace("_", " ")), "epoch", "")
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    panels[0].legend(frameon=False, fontsize=9)
    return drawn


def _lines(axes: Axes, history: pd.DataFrame, metric: str) -> None:
    for role, told in zip(_ROLES, ("training", "validation"), strict=True):
        column = f"{role}/{metric}"
        if column in history:
            axes.plot(history["epoch"], history[column], color=ROLES[role], marker="o", markersize=3, label=told)
    axes.set_xlim(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))

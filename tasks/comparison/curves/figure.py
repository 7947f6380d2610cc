"""Learning curves drawn: a panel a backbone, bands over the folds, one scale for all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from tasks.comparison.curves.learning_curves import ROLES as PARTS
from tasks.comparison.curves.learning_curves import LearningCurves
from tasks.evaluation.style import QUIET, ROLES, figure, shown, tidy

IN_A_ROW = 3
_TOLD = {"train": "training", "val": "validation"}
_WIDE_RANGE = 30.0
"""From which ratio of the largest to the least value on a scale is logarithmic, where all are positive."""


def curves_figure(curves: Sequence[LearningCurves], metric: str, title: str) -> Figure:
    """Draw one metric of training and validation images over the epochs.

    Parameters
    ----------
    curves : sequence of LearningCurves
        The backbones, in order; at least one.
    metric : str
        `loss`, or a metric of the histories.
    title : str
        What people call it.
    """
    columns = min(IN_A_ROW, len(curves))
    rows = math.ceil(len(curves) / columns)
    drawn = figure(2.9 * columns, 2.1 * rows + 0.55 * (rows - 1), left=0.9, top=0.9)
    room = {"wspace": 0.12, "hspace": 0.42}
    panels = drawn.subplots(rows, columns, sharex=True, sharey=True, squeeze=False, gridspec_kw=room).ravel()
    for axes, own in zip(panels, curves, strict=False):
        for role in PARTS:
            _band(axes, own, f"{role}/{metric}", ROLES[role])
        tidy(axes, shown(own.backbone, 24), "", "")
        axes.title.set_fontsize(10.5)
    for axes in panels[len(curves) :]:
        axes.remove()
    for place, axes in enumerate(panels[: len(curves)]):
        axes.tick_params(labelbottom=place + columns >= len(curves), labelsize=8.5)
        if place + columns >= len(curves):
            axes.set_xlabel("epoch", fontsize=9.5)
        if place % columns == 0:
            axes.set_ylabel(title, fontsize=9.5)
    _scale(panels[0], curves, metric)
    _legend(drawn, panels[0], ended=any(len(set(own.n_epochs)) > 1 for own in curves))
    return drawn


def _band(axes: Axes, own: LearningCurves, name: str, colour: str) -> None:
    """Draw the range over the folds as an area and their mean as a line, thin from where the first fold had ended."""
    band = own.band(name)
    if band.empty:
        return
    epoch = band["epoch"]
    axes.fill_between(epoch, band["low"], band["high"], color=colour, alpha=0.18, linewidth=0)
    whole = band["n_folds"] == band["n_folds"].max()
    marker = "o" if whole.sum() == 1 else None
    axes.plot(epoch, band["mean"], color=colour, linewidth=1, linestyle=(0, (2, 1.5)))
    axes.plot(epoch[whole], band["mean"][whole], color=colour, linewidth=1.8, marker=marker, markersize=4)


def _scale(axes: Axes, curves: Sequence[LearningCurves], metric: str) -> None:
    bands = [own.band(f"{role}/{metric}") for own in curves for role in PARTS]
    values = pd.concat([band[["low", "high"]] for band in bands]).to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    axes.set_xlim(-0.5, max(int(band["epoch"].max()) for band in bands if len(band)) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if len(values) and values.min() > 0 and values.max() > _WIDE_RANGE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=8))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _legend(drawn: Figure, first: Axes, *, ended: bool) -> None:
    handles: list[Artist] = [Line2D([], [], color=ROLES[role], linewidth=1.8, label=_TOLD[role]) for role in PARTS]
    handles.append(Patch(color=QUIET, alpha=0.3, linewidth=0, label="range over the folds"))
    if ended:
        handles.append(Line2D([], [], color=QUIET, linewidth=1, linestyle=(0, (2, 1.5)), label="some folds had ended"))
    place = first.get_position()
    height = drawn.get_size_inches()[1]
    drawn.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(place.x0, place.y1 + 0.32 / height),
        ncols=4 if drawn.get_size_inches()[0] > 7 else 2,
        frameon=False,
        fontsize=8.5,
        borderaxespad=0,
        borderpad=0,
    )

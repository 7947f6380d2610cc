"""A forest plot: a metric in each subgroup, with intervals, beside that of all images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from tasks.comparison.text import metric_title
from tasks.evaluation.style import QUIET, figure, shown, tidy, widest
from tasks.explanation.intervals import LEVEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 60
"""Subgroups that are drawn at the most, the first ones."""

_PLAIN, _GAP = "#4477AA", "#C44400"
_ROW, _SIZE = 0.28, 9


def subgroups_figure(scores: pd.DataFrame, backbone: str, overall: float | None) -> Figure:
    """Draw one metric of a backbone by subgroup.

    Parameters
    ----------
    scores : DataFrame
        From `subgroups.subgroup_scores`, of one metric; one row or more.
    backbone : str
        Whose scores they are.
    overall : float or None
        The score on all images, drawn as a line.
    """
    drawn = scores.head(MOST_ROWS)
    title = metric_title(str(drawn["metric"].iloc[0]))
    labels, y, rows = _laid_out(drawn)
    left = max(1.0, widest([label for label, _ in labels], _SIZE) + 0.2)
    whole = figure(5.0, _ROW * (y + 1), left=left)
    axes = whole.add_subplot()
    row: Any
    for place, row in rows:
        colour = _GAP if row.p_holm < 1 - LEVEL else _PLAIN
        has_interval = pd.notna(row.low)
        if has_interval:
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(
            row.score, place, "o", color=colour, markerfacecolor=colour if has_interval else "white", markersize=5
        )
    if overall is not None:
        axes.axvline(overall, color=QUIET, linewidth=1, linestyle="--", label=f"all images: {overall:.3f}")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=_SIZE, borderaxespad=0.2)
    tidy(axes, "", title, "")
    axes.set_yticks([place for _, place in labels], [label for label, _ in labels], fontsize=_SIZE)
    for tick, (_, place) in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("normal" if place in {at for at, _ in rows} else "bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y, -0.7)
    axes.grid(visible=False, axis="y")
    whole.suptitle(f"{backbone}: {title} by subgroup", x=0.02, y=0.99, ha="left", fontsize=12, fontweight="bold")
    return whole


def _laid_out(scores: pd.DataFrame) -> tuple[list[tuple[str, float]], float, list[tuple[float, Any]]]:
    """Give the labels with their places from the top, where the last row ends, and each row with its place."""
    labels: list[tuple[str, float]] = []
    rows: list[tuple[float, Any]] = []
    y = 0.0
    for name, own in scores.groupby("column", sort=False):
        labels.append((shown(str(name)), y))
        y += 1
        for row in own.itertuples():
            labels.append((f"{shown(str(row.value))}  ({row.n_images})", y))
            rows.append((y, row))
            y += 1
        y += 0.4
    return labels, y, rows

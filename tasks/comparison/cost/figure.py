"""Scores against what they cost, as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from tasks.comparison.costs import pareto_front
from tasks.evaluation.style import QUIET, figure, line_styles, shown, tidy, widest

_SIZE = 9
_WIDTH, _HEIGHT, _BETWEEN = 3.9, 3.6, 0.35
_MARKERS = "osD^vP*X"
_ROOM = 1.35
_FRONT = "front"


def cost_figure(
    table: pd.DataFrame, costs: Mapping[str, str], score: str, limits: tuple[float, float], *, higher_is_better: bool
) -> Figure:
    """Draw scores against several costs, side by side, each with the line of what no other backbone dominates.

    Parameters
    ----------
    table : DataFrame
        A row a backbone: `backbone`, `score`, the ends of its interval `low` and `high` (NaN where there is none), and
        the columns that `costs` names, positive or NaN. One row or more.
    costs : mapping of str to str
        By column, what stands below its axis; one or more.
    score : str
        What stands beside the axis of scores.
    limits : tuple of float
        The least and the largest score that there can be.
    higher_is_better : bool
        Whether higher scores are.
    """
    n, names = len(costs), [shown(name) for name in table["backbone"]]
    drawn = figure(n * _WIDTH + (n - 1) * _BETWEEN, _HEIGHT, right=widest([*names, _FRONT], _SIZE) + 0.8)
    panels = drawn.subplots(1, n, sharey=True, squeeze=False, gridspec_kw={"wspace": _BETWEEN / _WIDTH})[0]
    for axes, (column, title) in zip(panels, costs.items(), strict=True):
        _points(axes, table, column, names)
        _front(axes, table.dropna(subset=[column]), column, higher_is_better=higher_is_better)
        _logarithmic(axes, table[column].dropna().tolist())
        tidy(axes, "", title, "")
    panels[0].set_ylabel(score)
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(max(low, limits[0] - 0.02), min(high, limits[1] + 0.02))
    better = "up" if higher_is_better else "down"
    panels[0].set_title(f"Better is {better} and to the left", loc="left", y=1.0, fontsize=12, fontweight="bold")
    handles, labels = panels[-1].get_legend_handles_labels()
    panels[-1].legend(
        [*handles[1:], handles[0]],
        [*labels[1:], labels[0]],
        frameon=False,
        fontsize=_SIZE,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
    )
    return drawn


def _points(axes: Axes, table: pd.DataFrame, column: str, names: Sequence[str]) -> None:
    styles = line_styles(len(table))
    for place, (row, name, style) in enumerate(zip(table.to_dict("records"), names, styles, strict=True)):
        reach = None if pd.isna(row["low"]) else [[row["score"] - row["low"]], [row["high"] - row["score"]]]
        marker = _MARKERS[place % len(_MARKERS)]
        kept = {"color": style["color"], "linestyle": "none", "marker": marker, "markersize": 7, "capsize": 3}
        axes.errorbar([row[column]], [row["score"]], yerr=reach, label=name, **kept)


def _front(axes: Axes, table: pd.DataFrame, column: str, *, higher_is_better: bool) -> None:
    """Draw the front as steps: between two backbones on it the cheaper one is the best that there is."""
    on_it = pareto_front(table["score"].tolist(), table[column].tolist(), higher_is_better=higher_is_better)
    front = table[on_it].sort_values(column)
    axes.step(front[column], front["score"], where="post", color=QUIET, linewidth=1.2, zorder=1.5, label=_FRONT)


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """Set a logarithmic axis whose few ticks read as plain numbers."""
    axes.set_xscale("log")
    if values:
        axes.set_xlim(min(values) / _ROOM, max(values) * _ROOM)
    narrow = bool(values) and max(values) / min(values) < 8
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if narrow else (1.0, 3.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())

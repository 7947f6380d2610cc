"""How backbones stand to each other as figures."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tasks.comparison.standings.standing import Standings
from tasks.comparison.text import metric_title, p_value
from tasks.evaluation.style import QUIET, ROLES, figure, shown, tidy, widest

_WIDTH, _ROW = 5.4, 0.42
_SIZE = 10
_EQUIVALENT = "#EEF0F3"


def leads_figure(own: Standings) -> Figure:
    """Draw by how much the first backbone is ahead of each other one, with the interval of the difference.

    Dots are filled where the difference is beyond chance. The grey band is the region of practical equivalence.
    """
    best, others = own.order[0], own.order[1:]
    leads = [own.lead(best, name) for name in others]
    known = [found for found in leads if found.difference is not None]
    names = [shown(name) for name in others]
    drawn = figure(_WIDTH, max(1.0, _ROW * len(others) + 0.4), left=max(1.2, widest(names, _SIZE) + 0.2), right=1.8)
    axes = drawn.subplots()
    if own.rope:
        axes.axvspan(-own.rope, own.rope, color=_EQUIVALENT, linewidth=0, zorder=0)
    axes.axvline(0, color="black", linewidth=0.9)
    for place, found in enumerate(leads):
        if found.difference is None:
            continue
        if found.low is not None and found.high is not None:
            axes.hlines(place, found.low, found.high, color=ROLES["train"], linewidth=2)
        filled = ROLES["train"] if found.better() is not None else "white"
        axes.plot(found.difference, place, "o", color=ROLES["train"], markerfacecolor=filled, markersize=7, zorder=3)
        if found.p_holm is not None:
            said = f"adjusted p {p_value(found.p_holm)}"
            axes.annotate(said, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=QUIET)
    axes.set_yticks(range(len(others)), names, fontsize=_SIZE)
    axes.set_ylim(len(others) - 0.5, -0.5)
    ends = [abs(v) for found in known for v in (found.difference, found.low, found.high) if v is not None]
    if not any(ends):
        axes.set_xlim(-max(own.rope, 0.01) * 2, max(own.rope, 0.01) * 2)
    tidy(axes, f"Lead of {shown(best)} over …", f"… in {metric_title(own.metric)}", "")
    axes.grid(visible=False, axis="y")
    return drawn


def beliefs_figure(own: Standings) -> Figure:
    """Draw for each pair how likely the backbone of the row is better than that of the column, over folds."""
    n = len(own.order)
    likely = np.full((n, n), np.nan)
    place = {name: number for number, name in enumerate(own.order)}
    for found in own.over_folds:
        if found.metric == own.metric:
            first, second = place[found.first], place[found.second]
            likely[first, second], likely[second, first] = found.belief.better, found.belief.worse
    names = [shown(name) for name in own.order]
    side = 0.75 * n
    room = widest(names, _SIZE)
    drawn = figure(side, side, left=max(1.2, room + 0.2), top=max(1.0, 0.75 * room + 0.6), right=1.2)
    axes = drawn.subplots()
    axes.imshow(likely, cmap="Blues", vmin=0, vmax=1.3)
    for (row, column), value in np.ndenumerate(likely):
        if not np.isnan(value):
            axes.text(column, row, _percent(value), ha="center", va="center", fontsize=_SIZE,
                      color="white" if value > 0.75 else "black")  # fmt: skip
    axes.set_xticks(range(n), names, rotation=35, ha="left", fontsize=_SIZE)
    axes.set_yticks(range(n), names, fontsize=_SIZE)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"… than this one, in {metric_title(own.metric)}", fontsize=_SIZE)
    axes.set_ylabel("how likely this backbone is better …", fontsize=_SIZE)
    return drawn


def _percent(value: float) -> str:
    if 0.01 <= value <= 0.99:
        return f"{100 * value:.0f} %"
    return "> 99 %" if value > 0.5 else "< 1 %"

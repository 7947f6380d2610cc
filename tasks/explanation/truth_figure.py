"""How far a fold run's maps can be believed, as a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tasks.dataset.wording import counted
from tasks.evaluation.style import QUIET, figure, line_styles, save, tidy, widest
from tasks.explanation.faithfulness import OVERALL
from tasks.explanation.intervals import LEAST_GROUPS, Interval, mean_interval
from tasks.explanation.measures import Verdict, groups_of
from tasks.explanation.methods import METHODS
from tasks.explanation.sanity import LARGEST_AGREEMENT

_SOURCES: dict[str, dict[str, Any]] = {
    "": {"label": "the method's map", "color": "#4477AA", "marker": "o"},
    "_gaussian": {"label": "a centred blob", "color": "#EE7733", "marker": "s"},
    "_random": {"label": "a random map", "color": QUIET, "marker": "^"},
}
_CHANGES: dict[str, dict[str, Any]] = {
    "noise": {"label": "noise on the picture", "color": "#228833", "marker": "D"},
    "shift": {"label": "the picture shifted", "color": "#AA3377", "marker": "v"},
}
_LINE = 170
_MARKERS = "os^Dv<>PXd"
_COLUMNS = 2
_MOST_WITH_STRUCTURE = 3


def write_truth_figure(
    file: Path, truth: pd.DataFrame, sanity: pd.DataFrame, found: Mapping[str, Verdict], *, title: str
) -> None:
    """Write how methods fare: against controls, when weights are randomised, and under small changes of the picture.

    Parameters
    ----------
    file : Path
        A PNG file.
    truth, sanity : DataFrame
        What fold runs write as `truth.parquet` and `sanity.csv`.
    found : mapping of str to Verdict
        By method; its sentences stand below.
    title : str
        Whose maps these are.
    """
    names, lines = [METHODS[name].title for name in found], _lines(found)
    entries = 1 + len(names) * (2 if len(names) <= _MOST_WITH_STRUCTURE else 1)
    below = 0.65 + 0.18 * math.ceil(entries / _COLUMNS)
    height = max(2.4, 0.9 + 0.45 * len(names))
    drawn = figure(13.0, height, left=widest(names, 10) + 0.3, bottom=below + 0.2 * (len(lines) + 1), top=0.9)
    whole = drawn.get_figheight()
    drawn.text(0.5, 1 - 0.25 / whole, _heading(title, found), ha="center", fontsize=11, color=QUIET)
    drawn.text(drawn.subplotpars.left, 0.1 / whole, "\n".join(lines), ha="left", va="bottom", fontsize=10)
    left, middle, right = drawn.subplots(1, 3, gridspec_kw={"wspace": 0.28})
    _dots(left, truth, list(found), {f"{OVERALL}{behind}": look for behind, look in _SOURCES.items()})
    tidy(left, "Does the model need what is marked?", "insertion less deletion (more is better)", "")
    _curves(middle, sanity, list(found))
    tidy(middle, "Do maps change with the weights?", "layers randomised, from the top", "likeness to the model's own")
    _dots(right, truth, list(found), _CHANGES)
    tidy(right, "Do maps stay under small changes?", "rank correlation (1: the same)", "")
    right.set_xlim(min(0.0, right.get_xlim()[0]), 1.03)
    left.xaxis.set_major_locator(MaxNLocator(5))
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
    left.set_yticks(range(len(names)), names)
    right.set_yticks(range(len(names)), [""] * len(names))
    for axes, columns in ((left, 3), (middle, _COLUMNS), (right, 2)):
        where = (-0.02, -0.5 / height)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=where, ncols=columns, columnspacing=1)
    save(drawn, file)


def _heading(title: str, found: Mapping[str, Verdict]) -> str:
    n = max((verdict.n_images for verdict in found.values()), default=0)
    said = f"{title} · measured on {counted(n, 'image')}"
    return f"{said} · bars are 95 % intervals" if n >= LEAST_GROUPS else said


def _dots(axes: Axes, truth: pd.DataFrame, methods: list[str], looks: Mapping[str, dict[str, Any]]) -> None:
    """Draw a dot with its interval for each method, one below the other, and each measure."""
    for number, (measure, look) in enumerate(looks.items()):
        means = [_mean(truth[truth["method"] == method], measure) for method in methods]
        places = np.arange(len(methods)) + (number - (len(looks) - 1) / 2) * 0.24
        ends = np.array([[mean.mean - mean.low, mean.high - mean.mean] for mean in means])
        axes.errorbar(
            [mean.mean for mean in means],
            places,
            xerr=np.nan_to_num(np.maximum(ends, 0)).T,
            linestyle="none",
            markersize=6,
            elinewidth=1.4,
            **look,
        )
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.margins(x=0.12)


def _mean(part: pd.DataFrame, measure: str) -> Interval:
    return mean_interval(part[measure].to_numpy(dtype=np.float64), groups_of(part))


def _curves(axes: Axes, sanity: pd.DataFrame, methods: list[str]) -> None:
    """Draw each method's curve of rank correlation; of a few also intervals, and that of structural similarity."""
    structure = len(methods) <= _MOST_WITH_STRUCTURE
    for number, (method, style) in enumerate(zip(methods, line_styles(len(methods)), strict=True)):
        part = sanity[sanity["method"] == method]
        name = METHODS[method].title
        axes.plot(
            part["n_layers"],
            part["rank"],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            label=f"{name}: ranks" if structure else name,
            **style,
        )
        if structure:
            axes.fill_between(part["n_layers"], part["rank_low"], part["rank_high"], color=style["color"], alpha=0.15)
            label = f"{name}: structure"
            axes.plot(part["n_layers"], part["ssim"], linewidth=1, marker="x", markersize=4, label=label, **style)
    limit: dict[str, Any] = {
        "color": QUIET,
        "linewidth": 0.9,
        "linestyle": (0, (4, 3)),
        "label": "ranks must fall below",
    }
    axes.axhline(LARGEST_AGREEMENT, **limit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(min(-0.1, float(sanity[["rank", "rank_low", "ssim"]].min().min()) - 0.05), 1.05)


def _lines(found: Mapping[str, Verdict]) -> list[str]:
    """Give the findings as lines, each with all the methods that it holds for."""
    holders: dict[str, list[str]] = {}
    for verdict in found.values():
        holders.setdefault(verdict.finding, []).append(METHODS[verdict.method].title)
    return [line for finding, names in holders.items() for line in wrap(f"{', '.join(names)}: {finding}", _LINE)]

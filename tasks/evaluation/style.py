"""How the plots look: sizes, colours, labels that always fit."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROLES = {"train": "#4477AA", "val": "#EE7733", "validation": "#EE7733", "test": "#228833"}
QUIET = "#68707A"
LONGEST_LABEL = 28
_HAIR_SPACE = "\u200a"


def figure(width: float, height: float, *, arranged: bool = False) -> Figure:
    """Give an empty figure of this size in inches; `arranged` keeps many panels apart, at some cost in time."""
    return Figure(figsize=(width, height), layout="constrained" if arranged else None, facecolor="white")


def shown(label: str, longest: int = LONGEST_LABEL) -> str:
    """Give a label as a plot shows it: one line, its middle cut where it is long.

    A `$` would start a formula, and a label that begins with `_` would be missing from the legend: both are masked.
    """
    line = " ".join(label.split())
    if len(line) > longest:
        line = f"{line[: longest // 2]}…{line[-(longest - longest // 2 - 1) :]}"
    masked = line.replace("$", r"\$")
    return f"{_HAIR_SPACE}{masked}" if masked.startswith("_") else masked


def tidy(axes: Axes, title: str, x: str, y: str) -> None:
    """Set the title and the names of the axes, and take away what nobody reads."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#E3E6EA", linewidth=0.7)
    axes.set_axisbelow(True)


def line_styles(n: int) -> list[dict[str, Any]]:
    """Give `n` styles of lines that can be told apart: ten colours, then the same ones in other dashes."""
    colours = [colormaps["tab10"](i % 10) for i in range(n)]
    dashes = [dash for dash in ("-", "--", ":", "-.") for _ in range(10)]
    return [
        {"color": colour, "linestyle": dash} for colour, dash in zip(colours, islice(cycle(dashes), n), strict=True)
    ]

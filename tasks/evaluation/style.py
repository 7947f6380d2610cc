"""How the plots look: sizes, colours, labels that always fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image, ImageOps

from tasks.evaluation.fonts import font_file, visible

ROLES = {"train": "#4477AA", "val": "#EE7733", "validation": "#EE7733", "test": "#228833"}
QUIET = "#68707A"
LONGEST_LABEL = 28
DPI = 110
WIDEST_LETTER = 1.2
"""The width of the widest letters, as a share of the font size."""
MARGIN = 0.15
"""White around a saved figure, in inches."""
_HAIR_SPACE = "\u200a"


class _Lettered(Figure):
    """A figure that writes texts with letters that the usual font lacks, such as Chinese ones, in one that has them."""

    def draw(self, renderer: Any) -> None:
        for text in self.findobj(Text):
            letters = visible(text.get_text())
            if (file := font_file(letters)) != font_file(frozenset()):
                own = text.get_fontproperties().copy()
                own.set_file(file)
                text.set_fontproperties(own)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # no font here has it, and it shows as a box
            super().draw(renderer)


def figure(
    width: float, height: float, *, left: float = 1.0, right: float = 0.4, bottom: float = 0.8, top: float = 0.6
) -> Figure:
    """Give an empty figure whose panels fill width × height, with generous margins around them; all in inches.

    `save` cuts off what the margins do not need.
    """
    whole = (left + width + right, bottom + height + top)
    drawn = _Lettered(figsize=whole, facecolor="white")
    drawn.subplots_adjust(left / whole[0], bottom / whole[1], 1 - right / whole[0], 1 - top / whole[1])
    return drawn


def save(drawn: Figure, file: Path | BinaryIO, dpi: int = DPI) -> None:
    """Write a figure as PNG, cut to what is drawn on it.

    It is drawn once and cut afterwards: matplotlib's own tight box draws everything twice.

    Parameters
    ----------
    drawn : Figure
        What is written.
    file : Path or binary file
        Where to.
    dpi : int
        Dots an inch.
    """
    drawn.dpi = dpi
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    box = ImageOps.invert(picture).getbbox() or (0, 0, *picture.size)
    margin = round(MARGIN * dpi)
    cut = picture.crop(box)
    ImageOps.expand(cut, margin, "white").save(file, "PNG", dpi=(dpi, dpi), compress_level=2)


def widest(labels: Iterable[str], size: float) -> float:
    """Give inches that the longest of some labels does not exceed at a font size in points."""
    return WIDEST_LETTER * max((len(label) for label in labels), default=0) * size / 72


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
    # A place of its own, or matplotlib measures every label to find one.
    axes.set_title(title, loc="left", y=1.0, fontsize=12, fontweight="bold")
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

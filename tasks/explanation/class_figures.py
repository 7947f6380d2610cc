"""Pictures of several classes' maps: one image's figure, and sheets of several images."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tasks.explanation.drawing import HEADER_HEIGHT, NARROWEST, PAPER, QUIET, fitted, font, header, tile, written

IN_A_ROW = 3
_MARGIN = 28
_GAP = 12
_CAPTION, _LINE = 28, 18
_LONGEST_LABEL = 80


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture with its caption.

    `picture` is uint8 RGB of shape (h, w, 3) and of any size; `title` stands in bold under it, and `note`, of one line
    or more, under that.
    """

    picture: np.ndarray
    title: str
    note: str = ""


def percent(probability: float) -> str:
    """Give a probability (0 to 1) in words; what is not 0 is never told as 0."""
    return "below 0.1 %" if 0 < probability < 0.0005 else f"{100 * probability:.1f} %"


def overlay_name(rank: int, label: str, ending: str) -> str:
    """Give the file name of a class's overlay, such as `0001_tabby.png`."""
    plain = re.sub(r"[^\w.-]+", "_", label)[:_LONGEST_LABEL]
    return f"{rank:04d}_{plain}{'.jpg' if ending == 'jpeg' else '.png'}"


def explained_panel(
    overlay: np.ndarray,
    label: str,
    probability: float | None,
    *,
    method: str = "",
    layer: str = "",
    blank: bool = False,
) -> Panel:
    """Give the panel of a map: the class in bold, and under it its probability, the method, and where it looked.

    Parameters
    ----------
    overlay : ndarray of shape (h, w, 3), uint8
        The picture with its map, RGB.
    label : str
        The class that is explained, or what else is, such as `cat rather than dog`.
    probability : float, 0 to 1, or None
        That of the class; None where there is no such thing.
    method, layer : str
        What people call the method, and the layer that it maps; empty where one is the same for the whole figure.
    blank : bool
        Whether the map shows nothing.
    """
    told = " · ".join(text for text in ("" if probability is None else percent(probability), method) if text)
    lines = [told, f"at {layer}" if layer else "", "no place speaks for it" if blank else ""]
    return Panel(overlay, label, "\n".join(line for line in lines if line))


def panel_figure(
    panels: Sequence[Panel],
    *,
    title: str,
    note: str,
    columns: int = IN_A_ROW,
    colormap: str = "inferno",
    side: int = 240,
) -> Image.Image:
    """Draw panels in rows, from left to right.

    Parameters
    ----------
    panels : sequence of Panel
        One or more.
    title, note : str
        What the figure shows.
    columns : int
        Panels in a row.
    colormap : str
        The colour map of the overlays, for the legend.
    side : int
        Height and width of a picture's place in pixels.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    ValueError
        If there is no panel.
    """
    if not panels:
        raise ValueError("a figure needs at least one panel")
    caption = _CAPTION + _LINE * max(len(panel.note.split("\n")) for panel in panels)
    top, step = _MARGIN + HEADER_HEIGHT, side + caption + _GAP
    width = max(2 * _MARGIN + columns * (side + _GAP) - _GAP, NARROWEST)
    figure = Image.new("RGB", (width, top + math.ceil(len(panels) / columns) * step + _MARGIN - _GAP), PAPER)
    header(figure, title, note, colormap, _MARGIN, marks=False)
    draw = ImageDraw.Draw(figure)
    for place, panel in enumerate(panels):
        left, upper = _MARGIN + place % columns * (side + _GAP), top + place // columns * step
        figure.paste(tile(panel.picture, side), (left, upper))
        written(figure, (left, upper + side + 14), panel.title, side, size=15)
        for line, text in enumerate(panel.note.split("\n")):
            at = left, upper + side + 34 + line * _LINE
            draw.text(at, fitted(text, font(13), side), font=font(13), fill=QUIET, anchor="lm")
    return figure

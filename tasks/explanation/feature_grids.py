"""The channels of a layer drawn as a tiled grid, each normalised without a division by zero."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from tasks.explanation.drawing import HEADER_HEIGHT, NARROWEST, PAPER, QUIET, font, header, tile
from tasks.explanation.overlays import colour_table

MOST_CHANNELS = 256
"""Channels on a grid where no other number is given."""

_MARGIN, _GAP = 28, 4
_WIDE, _LEAST, _LARGEST, _THUMB = 960, 24, 236, 96


def scaled_channels(activations: np.ndarray) -> np.ndarray:
    """Bring each channel from its own minimum and maximum to 0 and 255.

    A layer of 1 x 1, where a channel is a single value, has one scale for all channels instead.

    Parameters
    ----------
    activations : ndarray of shape (h', w', channels)
        Of one image.

    Returns
    -------
    ndarray of shape (h', w', channels), uint8
        A channel that is constant, or has a NaN or an infinity, is 0 throughout.
    """
    values = np.asarray(activations, dtype=np.float64)
    finite = np.isfinite(values).all(axis=(0, 1))
    values = np.where(finite, values, 0)
    if single_values(values):
        lowest, highest = values[:, :, finite].min(initial=np.inf), values[:, :, finite].max(initial=-np.inf)
        above = np.where(finite, values - lowest, 0)
        span = np.full(values.shape[2], highest - lowest)
    else:
        above = values - values.min(axis=(0, 1))
        span = above.max(axis=(0, 1))
    scaled = np.divide(255 * above, span, out=np.zeros_like(above), where=span > 0)
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def single_values(activations: np.ndarray) -> bool:
    """Tell whether each channel is a single value, so that only all channels together have a range."""
    return activations.shape[:2] == (1, 1)


def feature_grid(
    activations: np.ndarray,
    *,
    title: str,
    picture: np.ndarray | None = None,
    colormap: str = "inferno",
    columns: int | None = None,
    side: int | None = None,
    most: int = MOST_CHANNELS,
) -> Image.Image:
    """Draw the channels of a layer for one image as tiles, from left to right and from top to bottom.

    Each channel has the whole range of colours for itself (`scaled_channels`), so tiles cannot be compared by
    brightness. The line under the title tells how many channels there are, are drawn and are constant; the number
    before a row is that of its first channel, from 0 on.

    Parameters
    ----------
    activations : ndarray of shape (h', w', channels)
        Of one image.
    title : str
        What the grid shows, such as the layer's name.
    picture : ndarray of shape (h, w, 3), uint8, or None
        The image, RGB, to stand beside the title.
    colormap : str
        The name of a colour map of matplotlib's.
    columns : int or None
        Tiles in a row, 1 or more; None: as suits the number of channels.
    side : int or None
        Height and width of a tile in pixels; None: so that a row is about 960 wide.
    most : int
        Channels that are drawn at the most, the first ones.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    InputError
        If there is no such colour map.
    ValueError
        If there is no channel, or the activations are not of one image.
    """
    if activations.ndim != 3 or not activations.size:
        raise ValueError(f"a grid needs activations of shape (h, w, channels), got {activations.shape}")
    shown = scaled_channels(activations[:, :, :most])
    n_shown = shown.shape[2]
    columns = columns or min(n_shown, max(4, math.ceil(math.sqrt(n_shown))))
    side = side or min(max(_WIDE // columns - _GAP, _LEAST), _LARGEST)
    colours, step, top = colour_table(colormap), side + _GAP, _MARGIN + HEADER_HEIGHT
    width = max(2 * _MARGIN + columns * step - _GAP, NARROWEST)
    grid = Image.new("RGB", (width, top + math.ceil(n_shown / columns) * step - _GAP + _MARGIN), PAPER)
    reserved = 0 if picture is None else _THUMB + _MARGIN
    header(grid, title, _note(activations, shown), colormap, _MARGIN, marks=False, reserved=reserved)
    if picture is not None:
        grid.paste(tile(picture, _THUMB), (width - _MARGIN - _THUMB, _MARGIN))
    draw = ImageDraw.Draw(grid)
    for number in range(n_shown):
        row, column = divmod(number, columns)
        at = _MARGIN + column * step, top + row * step
        grid.paste(tile(colours[_resized(shown[:, :, number], side)], side), at)
        if not column:
            draw.text((_MARGIN - 3, at[1] + side // 2), str(number), font=font(9), fill=QUIET, anchor="rm")
    return grid


def _resized(channel: np.ndarray, side: int) -> np.ndarray:
    """Scale a channel to `side` pixels along its longer side before it is coloured: single cells stay to be seen."""
    height, width = channel.shape
    scale = side / max(height, width)
    way = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    return np.asarray(
        Image.fromarray(channel).resize((max(round(width * scale), 1), max(round(height * scale), 1)), way)
    )


def _note(activations: np.ndarray, shown: np.ndarray) -> str:
    height, width, channels = activations.shape
    n_shown = shown.shape[2]
    finite = np.isfinite(activations[:, :, :n_shown]).all(axis=(0, 1))
    counted = f"{channels} channel{'' if channels == 1 else 's'}"
    told = counted if n_shown == channels else f"the first {n_shown} of {counted}"
    n_bad = int((~finite).sum())
    bad = f"; {n_bad} not finite" if n_bad else ""
    if single_values(activations):
        return f"{told} of one value each, all on one scale{bad}"
    n_constant = int((finite & (shown.max(axis=(0, 1)) == 0)).sum())
    constant = f"; {n_constant} constant" if n_constant else ""
    return f"{told} of {height} × {width}, each scaled to its own range{constant}{bad}"

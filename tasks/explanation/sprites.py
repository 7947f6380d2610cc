"""Thousands of small pictures and maps as blocks of bytes that a page decodes one by one, within a given size."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tasks.dataset.pixels.shaping import STRETCHED, Shaping, lay_back

ON_A_SIDE = 3
"""Thumbnails on each side of a sheet: few, so that pictures in any order need few others decoded."""

PER_SHEET = ON_A_SIDE**2

MARGIN = 1
"""Pixels around a thumbnail in its square: JPEG's decoders let colours run as far into the next one."""

_SIDES = (48, 192)
_GRIDS = (7, 32)
_BYTES_A_PIXEL = 0.35
_QUALITIES = (82, 70, 55, 40, 25, 10)


@dataclass(frozen=True)
class Sizes:
    """How large the parts are made so that all of them together stay within a limit.

    Attributes
    ----------
    side
        Pixels on a side of a thumbnail's square, margins and all; a multiple of 16, so that no block of JPEG's holds
        two pictures.
    sheet_bytes
        What a sheet of thumbnails may take.
    grid
        Values on the longer side of a map.
    """

    side: int
    sheet_bytes: int
    grid: int


def fitting_sizes(n_images: int, n_maps: int, n_bytes: float) -> Sizes:
    """Share out a number of bytes: five parts of nine to the pictures, four to the maps.

    Parameters
    ----------
    n_images, n_maps : int
        How many there are.
    n_bytes : float
        What they may take together. From some 20,000 images or 270,000 maps on at 30 million, the least sizes that
        can be made out (48 pixels, 7 × 7 values) take more.
    """
    for_picture, for_map = 5 / 9 * n_bytes / max(n_images, 1), 4 / 9 * n_bytes / max(n_maps, 1)
    side = 16 * int(math.sqrt(for_picture / _BYTES_A_PIXEL) / 16)
    return Sizes(
        side=min(max(side, _SIDES[0]), _SIDES[1]),
        sheet_bytes=int(PER_SHEET * for_picture),
        grid=min(max(int(math.sqrt(for_map)), _GRIDS[0]), _GRIDS[1]),
    )


def thumbnail(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrink a picture so that its longer side has at most `side` pixels; a smaller one stays as it is.

    Parameters
    ----------
    picture : ndarray of shape (h, w, 3), uint8
        RGB.
    side : int
        In pixels.

    Returns
    -------
    ndarray of shape (h', w', 3), uint8
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def sheet(thumbnails: Sequence[np.ndarray], sizes: Sizes) -> bytes:
    """Set thumbnails beside each other, row by row from the top left, each in a square of its own.

    Parameters
    ----------
    thumbnails : sequence of ndarray of shape (h, w, 3), uint8
        At most `PER_SHEET`, of at most `sizes.side - 2 * MARGIN` pixels.
    sizes : Sizes
        From `fitting_sizes`.

    Returns
    -------
    bytes
        A JPEG file of the best quality that stays within `sizes.sheet_bytes`, or of the lowest one where none does.
    """
    side = sizes.side
    whole = np.zeros((math.ceil(len(thumbnails) / ON_A_SIDE) * side, ON_A_SIDE * side, 3), np.uint8)
    for place, picture in enumerate(thumbnails):
        height, width = picture.shape[:2]
        top, left = place // ON_A_SIDE * side, place % ON_A_SIDE * side
        # The square's rest repeats the edge: black beside it would show in what JPEG keeps of the edge.
        below, beside = side - height - MARGIN, side - width - MARGIN
        whole[top : top + side, left : left + side] = np.pad(
            picture, ((MARGIN, below), (MARGIN, beside), (0, 0)), mode="edge"
        )
    drawn = Image.fromarray(whole)
    for quality in _QUALITIES:
        file = io.BytesIO()
        drawn.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= sizes.sheet_bytes:
            break
    return file.getvalue()


def quantised(heat: np.ndarray, height: int, width: int, how: Shaping = STRETCHED, *, grid: int = 32) -> np.ndarray:
    """Lay a map back over its picture, as a small grid of whole numbers.

    Parameters
    ----------
    heat : ndarray of shape (h, w), 0 to 1
        The map over the network's square, in any resolution; values beyond the range are cut off.
    height, width : int
        The picture's size in pixels.
    how : Shaping
        The steps from picture to square.
    grid : int
        Values on the longer side, at most.

    Returns
    -------
    ndarray of shape (rows, columns), uint8
        0 to 255 for 0 to 1. Of a picture that was stretched into the square, these are the map's own values while it
        has at most `grid` on a side.
    """
    if how.resize == "stretch":
        rows, columns = (min(n, grid) for n in heat.shape)
    else:
        rows, columns = (max(round(n * grid / max(height, width)), 1) for n in (height, width))
    laid: np.ndarray = np.rint(255 * np.clip(lay_back(heat, rows, columns, how), 0, 1))
    return laid.astype(np.uint8)

"""From an upright RGB picture of any size to the square that a network takes: the same in training and ever after.

Needs NumPy and Pillow and nothing of foldcam's, so that this very file can travel with a saved model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
T = TypeVar("T")

SHAPING_VERSION = "1"
"""Changes whenever the same picture and steps may come to give another square."""


class Shaping(NamedTuple):
    """The steps from picture to square; the defaults stretch it and do nothing else."""

    resize: str = "stretch"
    """`stretch`: height and width each to the size; `pad`: the longer side to the size, the rest filled; `crop`: the
    shorter side to the size, and of the longer one the middle."""
    pad_color: Colour = (0, 0, 0)
    """What `pad` fills with, RGB, 0 to 255."""
    mask: str = "none"
    """`circle`: black outside the centred circle that touches the picture's nearer edges; `none`: all stays."""


STRETCHED = Shaping()
_FINE = 1024  # parts of a cell of a map, so that the bars of `pad` end where they do


class Part(NamedTuple):
    """A rectangle, in pixels from the top left corner."""

    left: int
    top: int
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, as Pillow wants them."""
        return self.left, self.top, self.left + self.width, self.top + self.height


def shape(image: Pixels, size: int, how: Shaping = STRETCHED) -> Pixels:
    """Return the square that a network sees of the picture.

    The mask comes first, at the picture's own size; then the picture is resized by Pillow's bilinear filter, which
    averages when it shrinks.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8, 0 to 255
        RGB, upright; it is not changed.
    size
        Height and width of the result in pixels.
    how
        The steps.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8, 0 to 255

    Raises
    ------
    ValueError
        If there is no such step.
    """
    height, width, _ = image.shape
    seen, target = _parts(height, width, size, how.resize)
    picture = Image.fromarray(masked(image, how))
    filled = picture.resize((target.width, target.height), Image.Resampling.BILINEAR, box=seen.box)
    if (target.width, target.height) == (size, size):
        return np.asarray(filled, dtype=np.uint8)
    square = Image.new("RGB", (size, size), _colour(how.pad_color))
    square.paste(filled, (target.left, target.top))
    return np.asarray(square, dtype=np.uint8)


def masked(image: Pixels, how: Shaping = STRETCHED) -> Pixels:
    """Return the picture at its own size with what the mask hides in black, as people should see it explained.

    A pixel is within the circle if its centre is: at most min(width, height) / 2 from the picture's centre.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
    how
        The steps; only `mask` matters.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        The picture itself where there is no mask, else a new one.

    Raises
    ------
    ValueError
        If there is no such mask.
    """
    return _known(_MASKS, how.mask, "mask")(image)


def lay_back(heat: NDArray[Any], height: int, width: int, how: Shaping = STRETCHED) -> NDArray[np.float32]:
    """Return a map over the network's square as a map over the picture that the square was made of.

    Parameters
    ----------
    heat : ndarray of shape (h, w)
        A map over the whole square, in any resolution.
    height, width
        The picture's size in pixels.
    how
        The steps that made the square.

    Returns
    -------
    ndarray of shape (height, width), float32
        Interpolated bilinearly with half-pixel centres, within the range of `heat`; 0 where `crop` cut the picture
        off. What lies on the bars of `pad` is left out.

    Raises
    ------
    ValueError
        If there is no such way to resize.
    """
    rows, columns = heat.shape
    size = max(rows, columns) * _FINE
    seen, target = _parts(height, width, size, how.resize)
    left, top, right, bottom = target.box
    box = (left * columns / size, top * rows / size, right * columns / size, bottom * rows / size)
    grid = Image.fromarray(np.ascontiguousarray(heat, dtype=np.float32))
    part = np.asarray(grid.resize((seen.width, seen.height), Image.Resampling.BILINEAR, box=box))
    if (seen.height, seen.width) == (height, width):
        return part
    whole = np.zeros((height, width), dtype=np.float32)
    whole[seen.top : seen.top + seen.height, seen.left : seen.left + seen.width] = part
    return whole


def _parts(height: int, width: int, size: int, resize: str) -> tuple[Part, Part]:
    """Return which part of the picture is seen, and which part of the square it fills."""
    return _known(_RESIZES, resize, "way to resize")(height, width, size)


def _stretch(height: int, width: int, size: int) -> tuple[Part, Part]:
    return Part(0, 0, width, height), Part(0, 0, size, size)


def _pad(height: int, width: int, size: int) -> tuple[Part, Part]:
    longer = max(height, width)
    across, down = max(1, round(width * size / longer)), max(1, round(height * size / longer))
    return Part(0, 0, width, height), Part((size - across) // 2, (size - down) // 2, across, down)


def _crop(height: int, width: int, size: int) -> tuple[Part, Part]:
    shorter = min(height, width)
    return Part((width - shorter) // 2, (height - shorter) // 2, shorter, shorter), Part(0, 0, size, size)


def _circle(image: Pixels) -> Pixels:
    height, width, _ = image.shape
    across = np.abs(2 * np.arange(width) - (width - 1))
    down = 2 * np.arange(height) - (height - 1)
    square = min(height, width) ** 2 - down**2
    reach = np.where(square >= 0, np.sqrt(np.maximum(square, 0)), -1)
    inside = across[None, :] <= reach[:, None]
    kept: Pixels = image * inside[:, :, None]
    return kept


def _whole(image: Pixels) -> Pixels:
    return image


def _colour(colour: Any) -> Colour:
    red, green, blue = colour
    return red, green, blue


_RESIZES: dict[str, Callable[[int, int, int], tuple[Part, Part]]] = {"stretch": _stretch, "pad": _pad, "crop": _crop}
_MASKS: dict[str, Callable[[Pixels], Pixels]] = {"none": _whole, "circle": _circle}


def _known(table: dict[str, T], name: str, what: str) -> T:
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; known: {', '.join(table)}")
    return table[name]

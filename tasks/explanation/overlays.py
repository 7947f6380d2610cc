"""A map laid over its picture in colours."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache

import numpy as np

from tasks.config import InputError
from tasks.dataset.pixels.shaping import Shaping, lay_back, masked
from tasks.explanation.blending import blend


def overlay(image: np.ndarray, heat: np.ndarray, alpha: float = 0.4, colormap: str = "inferno") -> np.ndarray:
    """Lay the coloured map over the picture: `(1 - alpha) * image + alpha * colour(heat)`, rounded.

    The picture is never rescaled, so equal pixels under equal heat look the same in every overlay.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), uint8
        The original picture, RGB.
    heat : ndarray of shape (h, w), 0 to 1
        The map at the picture's size; values beyond the range are cut off.
    alpha : float
        Opacity of the map, 0 (the picture alone) to 1 (the map alone).
    colormap : str
        The name of a colour map of matplotlib's.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8

    Raises
    ------
    InputError
        If there is no such colour map.
    ValueError
        If picture and map differ in size or the picture is not 8-bit RGB.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or heat.shape != image.shape[:2]:
        raise ValueError(
            f"expected a uint8 picture (h, w, 3) and a map (h, w), got {image.dtype} {image.shape} and {heat.shape}"
        )
    return blend(image, heat, colour_table(colormap), alpha)


def overlay_of_square(
    image: np.ndarray, heat: np.ndarray, how: Shaping, alpha: float = 0.4, colormap: str = "inferno"
) -> np.ndarray:
    """Lay a map of the network's square over the picture that the square was made of, where the network saw it.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), uint8
        The original picture, RGB; what the mask of `how` hides is black in the overlay.
    heat : ndarray of shape (h', w'), 0 to 1
        The map over the whole square, in any resolution.
    how : Shaping
        The steps from picture to square.
    alpha, colormap
        As in `overlay`, and so are the errors.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
    """
    height, width, _ = image.shape
    return overlay(masked(image, how), lay_back(heat, height, width, how), alpha, colormap)


@lru_cache(maxsize=32)
def colour_table(colormap: str) -> np.ndarray:
    """Give the colours of a colour map of matplotlib's, from low to high.

    Returns
    -------
    ndarray of shape (256, 3), uint8
        RGB; read-only.

    Raises
    ------
    InputError
        If there is no such colour map.
    """
    from matplotlib import colormaps

    if colormap not in colormaps:
        near = get_close_matches(colormap, list(colormaps), n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise InputError(
            f"There is no colour map `{colormap}`.{hint} Give the name of one of matplotlib's to "
            "`explanation.colormap`, such as inferno, viridis or jet."
        )
    table = np.asarray(colormaps[colormap]((np.arange(256) + 0.5) / 256, bytes=True), dtype=np.uint8)[:, :3].copy()
    table.setflags(write=False)
    return table

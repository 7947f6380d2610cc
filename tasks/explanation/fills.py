"""What stands where a part of an image is taken away: its mean colour, a blur of it, black or white."""

from __future__ import annotations

from typing import get_args

import numpy as np

from tasks.config import Fill, InputError

BLUR = 10 / 224
"""Standard deviation of the blur in shares of a side: 10 pixels at 224 (Fong and Vedaldi, 2017)."""


def check_fill(fill: str, method: str, setting: str) -> None:
    """Refuse a name that is no fill.

    Raises
    ------
    InputError
        Naming the method and the setting, and what is known.
    """
    if fill not in get_args(Fill):
        raise InputError(f"{method} knows no `{setting}: {fill}`. Choose one of: {', '.join(get_args(Fill))}.")


def filled(image: np.ndarray, fill: Fill) -> np.ndarray:
    """Give a picture of the image's size that shows none of its detail.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), 0 to 255
        As the model takes it.
    fill : {"mean", "blur", "black", "white"}
        The mean of each channel everywhere; a Gaussian blur, its standard deviation `BLUR` of the shorter side, the
        border repeated; 0; or 255.

    Returns
    -------
    ndarray of shape (h, w, 3), float32, 0 to 255
    """
    image = np.asarray(image, dtype=np.float32)
    if fill == "blur":
        return blurred(image, min(image.shape[:2]))
    if fill == "mean":
        colour = image.mean(axis=(0, 1), dtype=np.float64)
        return np.broadcast_to(colour, image.shape).astype(np.float32)
    return np.full_like(image, 0 if fill == "black" else 255)


def blurred(image: np.ndarray, side: int) -> np.ndarray:
    """Give a picture under a Gaussian blur of standard deviation `BLUR` times `side`, the border repeated.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), float32
        The picture.
    side : int
        In pixels.
    """
    from scipy.ndimage import gaussian_filter

    found: np.ndarray = gaussian_filter(image, (BLUR * side, BLUR * side, 0), mode="nearest")
    return found

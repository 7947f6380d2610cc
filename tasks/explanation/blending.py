"""Colours laid over a picture.

Needs NumPy and nothing of foldcam's, so that this very file can travel with a saved model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def blend(image: NDArray[Any], heat: NDArray[Any], colours: NDArray[Any], alpha: float) -> NDArray[np.uint8]:
    """Return `(1 - alpha) * image + alpha * colour(heat)`, rounded.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), uint8
        The picture, RGB.
    heat : ndarray of shape (h, w), 0 to 1
        The map at the picture's size; values beyond the range are cut off.
    colours : ndarray of shape (256, 3), uint8
        RGB, from the lowest to the highest value.
    alpha : float
        Opacity of the map, 0 (the picture alone) to 1 (the map alone).

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
    """
    places = np.clip(heat * 256, 0, 255).astype(np.uint8)
    picture = ((1 - alpha) * np.arange(256)).astype(np.float32)
    laid_over = (alpha * colours.astype(np.float64)).astype(np.float32)
    mixed: NDArray[np.float32] = picture[image]
    mixed += laid_over[places]
    np.rint(mixed, out=mixed)
    return mixed.astype(np.uint8)

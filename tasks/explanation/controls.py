"""Maps that know nothing of the model, to hold true ones against, and the order in which a map takes the pixels."""

from __future__ import annotations

import numpy as np

from tasks.dataset.pixels.shaping import lay_back

CONTROLS = ("random", "gaussian")
"""Their names."""

GAUSSIAN_WIDTH = 0.25
"""Standard deviation of the centred Gaussian, as a share of the picture's height and of its width."""


def random_field(grid: tuple[int, int], height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Give a random map that is as coarse as a method's own: even random numbers on its grid, enlarged bilinearly.

    Random single pixels would be no fair control for a coarse map: taking them away harms a network more than taking
    away a patch, wherever that lies.

    Parameters
    ----------
    grid : (int, int)
        Rows and columns of the method's raw maps.
    height, width : int
        The picture's size in pixels.
    random : numpy.random.Generator
        Where the numbers come from.

    Returns
    -------
    ndarray of shape (height, width), float32, 0 to 1
    """
    return lay_back(random.random(grid, dtype=np.float32), height, width)


def gaussian_field(height: int, width: int) -> np.ndarray:
    """Give a Gaussian centred on the picture, of shape (height, width), float32, above 0 to 1: "the object is there".

    Its standard deviation is `GAUSSIAN_WIDTH` of the height and of the width.
    """
    down = ((np.arange(height) + 0.5) / height - 0.5) / GAUSSIAN_WIDTH
    across = ((np.arange(width) + 0.5) / width - 0.5) / GAUSSIAN_WIDTH
    field: np.ndarray = np.exp(-0.5 * (down[:, None] ** 2 + across[None, :] ** 2)).astype(np.float32)
    return field


def ranks(heat: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Give each pixel's place in the order of the map, 0 for the hottest, of the map's shape.

    Parameters
    ----------
    heat : ndarray of shape (h, w)
        The map.
    ties : ndarray of shape (h, w)
        Of pixels that are equally hot, the one with the larger value here comes first, then the one further up and
        left. A random field of the map's own coarseness makes the order of a map that says nothing that of a random
        map.
    """
    order = np.lexsort((-ties.ravel(), -heat.ravel()))
    places = np.empty(heat.size, dtype=np.int64)
    places[order] = np.arange(heat.size)
    return places.reshape(heat.shape)

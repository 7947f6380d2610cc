"""The pictures that faithfulness is measured with: pixels taken away or put in, in the order of a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from tasks.dataset.pixels.shaping import lay_back
from tasks.explanation.controls import CONTROLS, gaussian_field, random_field, ranks
from tasks.explanation.fills import blurred
from tasks.explanation.maps import normalise

Baseline = Literal["blur", "mean"]

SOURCES = ("map", *CONTROLS)
"""The method's map and its two controls."""


def baseline_of(image: np.ndarray, kind: Baseline) -> np.ndarray:
    """Give what stands where pixels of a picture are taken away, of its shape (h, w, 3), float32, 0 to 255."""
    image = np.asarray(image, dtype=np.float32)
    if kind == "mean":
        return np.broadcast_to(image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32), image.shape)
    return blurred(image, max(image.shape[:2]))


def taken_counts(n_pixels: int, steps: int) -> np.ndarray:
    """Give how many pixels are taken at each step, of shape (steps + 1,), from none to all."""
    counts: np.ndarray = np.rint(np.linspace(0, n_pixels, steps + 1)).astype(np.int64)
    return counts


def depends_on_map(n_baselines: int, steps: int) -> np.ndarray:
    """Tell which of one image's pictures depend on the method's map, in their order.

    The others are the same for every method whose maps have the same resolution: the picture, what stands where pixels
    are taken away, and the controls on their way from the one to the other.

    Returns
    -------
    ndarray of shape (n_pictures,), bool
    """
    ways = 2 * (steps - 1)
    curves = [False] + ways * [True] + (len(SOURCES) - 1) * ways * [False]
    return np.array([False] + n_baselines * curves + len(SOURCES) * [True])


def all_pictures(
    images: np.ndarray, maps: np.ndarray, baselines: Sequence[Baseline], steps: int, seed: int, *, alone: bool = False
) -> Iterator[np.ndarray]:
    """Yield all pictures of image after image, each of shape (h, w, 3), float32, 0 to 255.

    Of one image these are: the picture; for each baseline that, and for the map and each control, step by step, the
    picture without the hottest pixels and the baseline with them; and the picture times each of the three.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, 3), 0 to 255
        The pictures.
    maps : ndarray of shape (n, h', w')
        The method's maps.
    baselines : sequence of str
        What stands where pixels are taken away.
    steps : int
        In how many steps they are.
    seed : int
        What the random maps follow from.
    alone : bool
        Whether only the pictures that depend on the map (`depends_on_map`) are given.
    """
    height, width = images.shape[1:3]
    grid = maps.shape[1], maps.shape[2]
    random = np.random.default_rng(seed)
    ties = random_field(grid, height, width, random)
    for image, small in zip(images, normalise(maps), strict=True):
        heat = lay_back(small, height, width)
        fields = heat, random_field(grid, height, width, random), gaussian_field(height, width)
        orders = [ranks(field, ties) for field in fields]
        yield from _pictures(np.asarray(image, dtype=np.float32), heat, orders, baselines, steps, alone)


def _pictures(
    image: np.ndarray,
    heat: np.ndarray,
    orders: list[np.ndarray],
    baselines: Sequence[Baseline],
    steps: int,
    alone: bool,
) -> Iterator[np.ndarray]:
    if not alone:
        yield image
    for kind in baselines:
        base = baseline_of(image, kind)
        if not alone:
            yield base
        for order in orders[:1] if alone else orders:
            for count in taken_counts(heat.size, steps)[1:-1]:
                taken = (order < count)[:, :, None]
                yield np.where(taken, base, image)
                yield np.where(taken, image, base)
    values = np.sort(heat, axis=None)[::-1]
    for order in orders:
        yield image * values[order][:, :, None]

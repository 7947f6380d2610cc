"""Metrics under weights: images in units (a group of images, as one model sees it), and a weight for each unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Scorer = Callable[[Array], Array]
"""Gives a metric's values, of shape (n_draws,), for weights of shape (n_draws, n_units).

A weight is a whole number, 0 or more: how often each image of the unit counts. NaN: the metric is undefined.
"""

_ELEMENTS = 200_000


def sums_by_unit(columns: Array, units: NDArray[np.int64]) -> Array:
    """Return the sum of each column over the images of each unit.

    Parameters
    ----------
    columns : ndarray of shape (n_images, n_columns)
        What is added up.
    units : ndarray of shape (n_images,), 0 to n_units - 1
        The unit of each image.

    Returns
    -------
    ndarray of shape (n_units, n_columns)
    """
    sums = np.zeros((int(units.max()) + 1, columns.shape[1]))
    np.add.at(sums, units, columns)
    return sums


def mean_scorer(values: Array, units: NDArray[np.int64]) -> Scorer:
    """Return the scorer of a mean over images, from one value an image, of shape (n_images,)."""
    sums = sums_by_unit(np.stack([values, np.ones(len(values))], axis=1), units)

    def weighted(weights: Array) -> Array:
        total = weights @ sums
        return ratio(total[:, 0], total[:, 1])

    return weighted


def ratio(above: Array, below: Array) -> Array:
    """Return `above / below`, both of one shape, with NaN where `below` is 0."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0))


def mean_of_known(values: Array) -> Array:
    """Return the mean of each row without its NaN, of shape (n_draws,); NaN where there is nothing else."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def batches(n_draws: int, n_rows: int) -> Iterator[slice]:
    """Cut draws into parts that fit into memory.

    Parameters
    ----------
    n_draws : int
        Number of draws.
    n_rows : int
        Number of values that a draw takes.
    """
    size = max(1, _ELEMENTS // max(1, n_rows))
    for start in range(0, n_draws, size):
        yield slice(start, min(n_draws, start + size))

"""McNemar's test of two models, for images that are independent of each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class McNemar(NamedTuple):
    """How two models' mistakes differ.

    Attributes
    ----------
    only_first, only_second
        The number of images that only this model gets right.
    exact
        The exact conditional two-sided p-value.
    mid
        The mid-p-value, which is nearer to the nominal level with few images.
    """

    only_first: int
    only_second: int
    exact: float
    mid: float


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_], groups: NDArray[np.int64]) -> McNemar:
    """Test whether two models are right equally often (Fagerland, Lydersen and Laake, 2013).

    Parameters
    ----------
    first_right, second_right : ndarray of shape (n_images,), bool
        Which images each model gets right.
    groups : ndarray of shape (n_images,)
        The group of each image.

    Raises
    ------
    ValueError
        If a group has several images: they are not independent, and the test would find differences too often.
    """
    from scipy.special import bdtr

    sizes = np.unique_counts(groups).counts
    if several := int((sizes > 1).sum()):
        raise ValueError(
            f"McNemar's test takes every image for independent of all others, and {several} of {len(sizes)} groups "
            f"hold several images (up to {sizes.max()}). It would find differences where there are none: use the "
            "sign-flip test by groups."
        )
    first, second = (np.asarray(right, dtype=bool) for right in (first_right, second_right))
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n, fewer = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return McNemar(0, 0, 1.0, 1.0)
    up_to = float(bdtr(fewer, n, 0.5))
    below = float(bdtr(fewer - 1, n, 0.5)) if fewer else 0.0
    here = up_to - below
    if only_first == only_second:
        return McNemar(only_first, only_second, 1.0, 1 - here / 2)
    return McNemar(only_first, only_second, min(1.0, 2 * up_to), 2 * up_to - here)

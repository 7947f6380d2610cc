"""Shares of images, with intervals that know groups and do not vanish where all images are alike."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tasks.explanation.intervals import LEAST_GROUPS, LEVEL, Interval, mean_interval


def share_interval(found: NDArray[np.bool_], groups: NDArray[np.object_] | None = None, *, seed: int = 0) -> Interval:
    """Give the share of images of which something is found, with its 95 % interval.

    The interval draws whole groups (`intervals.mean_interval`). Without groups it is Wilson's (1927), and so it is
    where all images are alike, which no draw can change: there it counts groups.

    Parameters
    ----------
    found : ndarray of shape (n_images,), bool
        One image or more.
    groups : ndarray of shape (n_images,) or None
        The group of each image; None: each image is a group of its own.
    seed : int
        The same seed gives the same interval.
    """
    if groups is not None and found.any() and not found.all():
        return mean_interval(found.astype(np.float64), groups, seed=seed)
    n_groups = len(found) if groups is None else len(set(groups))
    if groups is not None and n_groups < LEAST_GROUPS:
        return Interval(float(found.mean()), math.nan, math.nan, n_groups)
    from scipy.stats import binomtest

    wilson = binomtest(round(found.mean() * n_groups), n_groups).proportion_ci(LEVEL, method="wilson")
    return Interval(float(found.mean()), float(wilson.low), float(wilson.high), n_groups)

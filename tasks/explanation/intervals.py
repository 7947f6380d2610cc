"""Intervals of means over images, which know that the images of one group are not independent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

from tasks.evaluation.resampling import LEAST_GROUPS, LEVEL

__all__ = ["LEAST_GROUPS", "LEVEL", "Interval", "chance_of_more", "difference_interval", "mean_interval"]

_RESAMPLES = 2000
_ELEMENTS = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A mean over images, or the difference of two, with its interval.

    Attributes
    ----------
    mean
        NaN where there is no value.
    low, high
        Ends of the interval; NaN with fewer than `LEAST_GROUPS` groups (in either part of a difference).
    n_groups
        The number of groups, or of images where there are no groups; of a difference, that of its smaller part.
    """

    mean: float
    low: float
    high: float
    n_groups: int

    @property
    def above(self) -> bool | None:
        """Whether all of the interval is above 0; None where there is no interval."""
        return None if math.isnan(self.low) else self.low > 0


@dataclass(frozen=True)
class _Part:
    """Sums and numbers of the values of each group, both of shape (n_groups,)."""

    sums: np.ndarray
    sizes: np.ndarray

    def mean(self, places: np.ndarray, axis: int) -> np.ndarray:
        places = places.astype(np.int64)
        means: np.ndarray = self.sums[places].sum(axis=axis) / self.sizes[places].sum(axis=axis)
        return means

    @property
    def without_spread(self) -> bool:
        means = self.sums / self.sizes
        return bool(np.ptp(means) <= 1e-12 * np.abs(means).max())


def known_groups(groups: pd.Series) -> np.ndarray | None:
    """Give the groups of images as an array where each image has one, else None: each is a group of its own then."""
    return None if groups.isna().any() else groups.to_numpy(dtype=object)


def mean_interval(
    values: np.ndarray, groups: np.ndarray | None = None, *, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Give the mean over images and its interval.

    The interval is the bias-corrected and accelerated bootstrap's (Efron, 1987; `scipy.stats.bootstrap`), which draws
    whole groups, such as patients, where there are any.

    Parameters
    ----------
    values : ndarray of shape (n_images,)
        One value an image; NaN: left out.
    groups : ndarray of shape (n_images,) or None
        The group of each image; None: each image is a group of its own.
    level : float
        The confidence level, 0 to 1.
    seed : int
        The same seed gives the same interval.
    """
    part = _part(values, groups)
    return _interval([part], np.array([1.0]), level, seed)


def difference_interval(
    first: np.ndarray,
    second: np.ndarray,
    first_groups: np.ndarray | None = None,
    second_groups: np.ndarray | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Give the mean over some images less the mean over others, and its interval; the two are drawn independently.

    Parameters
    ----------
    first, second : ndarray of shape (n_images,)
        One value an image, of different images; NaN: left out.
    first_groups, second_groups : ndarray of shape (n_images,) or None
        As in `mean_interval`, and so are `level` and `seed`.
    """
    parts = [_part(first, first_groups), _part(second, second_groups)]
    return _interval(parts, np.array([1.0, -1.0]), level, seed)


def chance_of_more(
    first: np.ndarray,
    second: np.ndarray,
    first_groups: np.ndarray | None = None,
    second_groups: np.ndarray | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> float:
    """Give how likely a mean over the first images that exceeds that over the others by as much is, were it chance.

    That is the one-sided permutation test of `scipy.stats.permutation_test`, which moves whole groups between the two.
    Unlike an interval it is right for few groups, too, however skewed their values are.

    Parameters
    ----------
    first, second, first_groups, second_groups, seed
        As in `difference_interval`.
    level : float
        Ten times as many permutations are drawn as it takes to tell a chance of `1 - level`.

    Returns
    -------
    float
        Above 0, at most 1; 1 where a part has no value.
    """
    from scipy.stats import permutation_test

    parts = [_part(first, first_groups), _part(second, second_groups)]
    if not all(len(part.sums) for part in parts):
        return 1.0
    both = _Part(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("sums", "sizes")))
    every = np.arange(len(both.sums))

    def more(of_first: np.ndarray, of_second: np.ndarray, axis: int) -> Any:
        return both.mean(of_first, axis) - both.mean(of_second, axis)

    found = permutation_test(
        (every[: len(parts[0].sums)], every[len(parts[0].sums) :]),
        more,
        vectorized=True,
        axis=-1,
        alternative="greater",
        n_resamples=max(_RESAMPLES, math.ceil(10 / (1 - level))),
        batch=max(1, _ELEMENTS // len(every)),
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _part(values: np.ndarray, groups: np.ndarray | None) -> _Part:
    values = np.asarray(values, dtype=np.float64)
    there = ~np.isnan(values)
    if groups is None:
        return _Part(values[there], np.ones(int(there.sum())))
    _, numbers = np.unique(np.asarray(groups)[there], return_inverse=True)
    return _Part(np.bincount(numbers, weights=values[there]), np.bincount(numbers).astype(np.float64))


def _interval(parts: list[_Part], signs: np.ndarray, level: float, seed: int) -> Interval:
    from scipy.stats import bootstrap

    n_groups = min(len(part.sums) for part in parts)
    if n_groups == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    every = [np.arange(len(part.sums)) for part in parts]

    def statistic(*places: np.ndarray, axis: int) -> Any:
        means = zip(signs, parts, places, strict=True)
        return sum(sign * part.mean(chosen, axis) for sign, part, chosen in means)

    mean = float(statistic(*every, axis=-1))
    if n_groups < LEAST_GROUPS:
        return Interval(mean, math.nan, math.nan, n_groups)
    if all(part.without_spread for part in parts):
        return Interval(mean, mean, mean, n_groups)
    found = bootstrap(
        every,
        statistic,
        vectorized=True,
        axis=-1,
        confidence_level=level,
        n_resamples=max(_RESAMPLES, math.ceil(50 / (1 - level))),
        batch=max(1, _ELEMENTS // max(len(places) for places in every)),
        method="BCa",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), n_groups)

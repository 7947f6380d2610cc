"""Intervals of shares and of whatever is computed from images, which know that images of one group go together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""The confidence level of an interval."""

LEAST_GROUPS = 6
"""From how many groups on there is a bootstrap interval: with five, not even a difference that has the same sign in all
of them is beyond chance at the 95 % level (the two-sided sign test gives 1/16)."""

N_DRAWS = 2000
"""How often groups are drawn for a bootstrap interval."""

_ELEMENTS = 2_000_000


class Estimate(NamedTuple):
    """A figure with its interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


def share(counted: np.ndarray, groups: NDArray[np.int64], level: float = LEVEL) -> Estimate:
    """Give the share of what is counted, with an interval that knows groups and holds near 0 and 1.

    It is the interval of Clopper and Pearson (1934) for as many independent trials as the forecasts are worth: their
    number over the design effect, corrected for few groups (Korn and Graubard, 1998, Survey Methodology 24, p. 193).
    Where all or none are counted the spread within groups is unknown, and each group is one trial. Without groups it
    is the interval of Clopper and Pearson.

    Parameters
    ----------
    counted : ndarray of shape (n,), bool
        What is a share of all.
    groups : ndarray of shape (n,), int
        The number of the group of each.
    level : float
        The confidence level, 0 to 1.

    Returns
    -------
    Estimate
        NaN of nothing; without an interval of one group alone.
    """
    from scipy.stats import beta, t

    n = len(counted)
    if not n:
        return Estimate(math.nan)
    _, numbers = np.unique(groups, return_inverse=True)
    n_groups, value = int(numbers.max()) + 1, float(np.mean(counted))
    if n_groups == 1:
        return Estimate(value)
    tail = (1 - level) / 2
    if value in (0.0, 1.0):
        trials = float(n_groups)
    else:
        residue = np.bincount(numbers, weights=np.asarray(counted, dtype=np.float64) - value)
        variance = n_groups / (n_groups - 1) * np.square(residue).sum() / n**2
        effect = max(variance * (n - 1) / (value * (1 - value)), 1e-12)
        few = (t.ppf(tail, n - 1) / t.ppf(tail, n_groups - 1)) ** 2
        trials = min(n / effect * few, float(n))
    hits = trials * value
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if value > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if value < 1 else 1.0
    return Estimate(value, low, high)


def group_draws(n_groups: int, n_draws: int = N_DRAWS, seed: int = 0, width: int = 1) -> Iterator[NDArray[np.int64]]:
    """Give how often each group is drawn, of shape (n_some, n_groups), until there are `n_draws` rows.

    Each row draws as many groups as there are, with replacement (the cluster bootstrap; Field and Welsh, 2007). What
    comes of a row can have up to `width` elements: as many rows are given at once as memory is fit for. The draws do
    not depend on that.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, _ELEMENTS // max(n_groups, width))
    for start in range(0, n_draws, at_once):
        rows = min(at_once, n_draws - start)
        drawn = rng.integers(n_groups, size=(rows, n_groups)) + n_groups * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n_groups).reshape(rows, n_groups)


def percentiles(drawn: NDArray[np.float64], level: float = LEVEL) -> NDArray[np.float64]:
    """Give the ends of percentile intervals, of shape (2, …), from draws along the first axis; NaN are left out.

    Where more than one draw in twenty is NaN, the figure is too often undefined for an interval, and the ends are NaN.
    """
    drawn = np.asarray(drawn, dtype=np.float64)
    tail = (1 - level) / 2
    undefined = np.isnan(drawn).mean(axis=0)
    # Draws without a value would warn; what replaces them is taken out again below.
    safe = np.where(undefined == 1, 0.0, drawn)
    ends = np.nanquantile(safe, [tail, 1 - tail], axis=0)
    return np.asarray(np.where(undefined > 0.05, math.nan, ends), dtype=np.float64)

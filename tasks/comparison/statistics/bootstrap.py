"""How far a figure moves when other groups of images had been drawn: the cluster bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.comparison.statistics.units import Array, Scorer, batches

N_DRAWS = 10_000
"""How many draws of groups an interval stands on."""


def drawn_groups(n_groups: int, n_draws: int, rng: np.random.Generator) -> Array:
    """Draw as many groups as there are, with replacement; return how often each was drawn.

    Returns
    -------
    ndarray of shape (n_draws, n_groups), whole numbers; rows sum to n_groups
    """
    places = rng.integers(0, n_groups, size=(n_draws, n_groups)) + n_groups * np.arange(n_draws)[:, None]
    counts = np.bincount(places.ravel(), minlength=n_draws * n_groups)
    return counts.reshape(n_draws, n_groups).astype(np.float64)


def bootstrap_scores(
    scorers: Sequence[Scorer], groups: NDArray[np.int64], *, n_draws: int = N_DRAWS, seed: int = 0
) -> Array:
    """Score draws of whole groups (Davison and Hinkley, 1997, section 3.8), the same draws for every scorer.

    Parameters
    ----------
    scorers : sequence of Scorer
        Each with a unit a group.
    groups : ndarray of shape (n_images,), 0 to n_groups - 1
        The group of each image.
    n_draws : int
        Number of draws.
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    ndarray of shape (n_draws, n_scorers); NaN where a metric is undefined for the drawn images
    """
    rng, n_groups = np.random.default_rng(seed), int(groups.max()) + 1
    scores = np.empty((n_draws, len(scorers)))
    for part in batches(n_draws, len(groups)):
        weights = drawn_groups(n_groups, part.stop - part.start, rng)
        for column, scorer in enumerate(scorers):
            scores[part, column] = scorer(weights)
    return scores


def expanded_interval(draws: Array, n_groups: int, level: float) -> tuple[float, float]:
    r"""Return the ends of the expanded percentile interval; NaN with fewer than two groups or without any draw.

    The percentile interval is too narrow with few groups: it takes the normal distribution for Student's, and n for
    n - 1. So its tails are cut where a normal interval would be as wide as Student's (Hesterberg, 2015, "What Teachers
    Should Know About the Bootstrap", The American Statistician 69):

    .. math:: \alpha' = 2 \, \Phi\left(-\sqrt{n / (n - 1)} \; t_{n-1,\,1-\alpha/2}\right)

    Parameters
    ----------
    draws : ndarray of shape (n_draws,)
        From `bootstrap_scores`; NaN: left out.
    n_groups : int
        Number of groups.
    level : float
        The confidence level, 0 to 1.
    """
    from scipy.special import ndtr, stdtrit

    known = draws[~np.isnan(draws)]
    if n_groups < 2 or not len(known):
        return math.nan, math.nan
    tail = float(ndtr(-math.sqrt(n_groups / (n_groups - 1)) * stdtrit(n_groups - 1, (1 + level) / 2)))
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def standard_error(draws: Array, n_groups: int) -> float:
    """Return the standard deviation of the draws times √(n / (n - 1)); NaN with fewer than two groups.

    For a mean over groups of one size that is the groups' standard deviation (n - 1 in the denominator) over √n.
    """
    known = draws[~np.isnan(draws)]
    if n_groups < 2 or not len(known):
        return math.nan
    return float(known.std()) * math.sqrt(n_groups / (n_groups - 1))

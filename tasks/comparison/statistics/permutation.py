"""How likely chance alone makes two models differ as much: the sign-flip test by groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.comparison.statistics.bootstrap import N_DRAWS
from tasks.comparison.statistics.units import Array, Scorer, batches
from tasks.evaluation.checks import Predictions

_ROUNDING = 1e-12


def both_models(
    first: Predictions, second: Predictions, groups: NDArray[np.int64]
) -> tuple[Predictions, NDArray[np.int64]]:
    """Put two models' predictions for the same images into one, a unit a group and model.

    Parameters
    ----------
    first, second : Predictions
        Of n_images images in the same order.
    groups : ndarray of shape (n_images,), 0 to n_groups - 1
        The group of each image.

    Returns
    -------
    Predictions, of 2 n_images rows
        The first model's, then the second's.
    ndarray of shape (2 n_images,)
        The unit of each row: the group for the first model, n_groups more for the second.
    """
    stacked = Predictions(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
    return stacked, np.concatenate([groups, groups + groups.max() + 1])


def swap_test(scorers: Sequence[Scorer], groups: NDArray[np.int64], *, n_draws: int = N_DRAWS, seed: int = 0) -> Array:
    """Return the two-sided p-value of the difference between two models, for each scorer.

    If the models do not differ, nothing changes when all predictions for a group are swapped between the two, which
    flips the sign of the group's difference. The groups to swap are drawn, each with a chance of a half. The p-value
    is the share of draws in which the models differ at least as much as they do, the draw that swaps nothing
    included (Phipson and Smyth, 2010, "Permutation P-values Should Never Be Zero").

    Parameters
    ----------
    scorers : sequence of Scorer
        Each on the predictions and units of `both_models`.
    groups : ndarray of shape (n_images,), 0 to n_groups - 1
        The group of each image.
    n_draws : int
        Number of draws.
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    ndarray of shape (n_scorers,), above 0, at most 1; NaN where a model has no value
    """
    rng, n_groups = np.random.default_rng(seed), int(groups.max()) + 1
    as_they_are = np.ones((1, n_groups))
    seen = [abs(_differences(scorer, as_they_are)[0]) for scorer in scorers]
    as_far = np.ones(len(scorers))
    for part in batches(n_draws, 4 * len(groups)):
        kept = rng.integers(0, 2, (part.stop - part.start, n_groups), dtype=np.uint8).astype(np.float64)
        for place, scorer in enumerate(scorers):
            nearer = np.abs(_differences(scorer, kept)) < seen[place] - _ROUNDING * max(1.0, seen[place])
            as_far[place] += np.count_nonzero(~nearer)
    return np.where(np.isnan(seen), np.nan, as_far / (n_draws + 1))


def _differences(scorer: Scorer, kept: Array) -> Array:
    """Give the first model's score less the second's, where a model keeps some groups and gets the rest swapped."""
    swapped = 1 - kept
    first, second = np.split(scorer(np.block([[kept, swapped], [swapped, kept]])), 2)
    return first - second

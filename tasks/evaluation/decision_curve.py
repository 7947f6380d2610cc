"""Whether acting on a model's probabilities does more good than acting on all images, or on none."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.forecasts import Forecasts
from tasks.evaluation.resampling import LEAST_GROUPS, LEVEL, N_DRAWS, group_draws, percentiles, share

THRESHOLDS: tuple[float, ...] = tuple(np.round(np.arange(0.01, 1, 0.01), 2).tolist())
"""Probabilities from which on one might want to act."""


def decision_curve(
    forecasts: Forecasts,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    level: float = LEVEL,
    at_once: int = 1,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Give the net benefit of acting from each probability on (Vickers and Elkin, 2006, Med. Decis. Making 26, p. 565).

    It is the share of images that are positive and acted on, less the share that are negative and acted on, weighed by
    the odds of the threshold: who acts from 10 % on holds one missed positive to be as bad as nine false alarms. Acting
    on none has the net benefit 0. The figures hold where positive images are as frequent as among these, and if
    probabilities mean what they say: scale them before where they do not.

    Parameters
    ----------
    forecasts
        Probabilities, truth and groups.
    thresholds : sequence of float
        Above 0 and below 1.
    level : float
        The confidence level of the intervals, 0 to 1.
    at_once : int
        For how many such curves `gain_at_once` is to hold together.
    n_draws, seed : int
        How often groups are drawn; the same seed gives the same intervals.

    Returns
    -------
    DataFrame
        One row a threshold: `threshold`; `net_benefit` of the model, at most the share of positive images, with the
        ends `low` and `high` of its interval by the cluster bootstrap; `treat_all`, that of acting on all; `gain`, what
        the model has more than the better of acting on all and on none, with `gain_low` and `gain_high`. Intervals are
        for each threshold by itself, and NaN with fewer than `LEAST_GROUPS` groups. `gain_at_once` is the lower end of
        a band that holds for all thresholds at once, by the largest deviation in each draw over its standard error
        (Davison and Hinkley, 1997, section 4.2.4). As draws know little of what is rare, it is NaN also where the
        share of positive images among those on which the model does not do as the better of all and none has the
        threshold within its interval (`resampling.share`).

    Raises
    ------
    ValueError
        If there is no image, or a threshold is out of bounds.
    """
    at = np.asarray(thresholds, dtype=np.float64)
    if not len(forecasts.probability) or not ((at > 0) & (at < 1)).all():
        raise ValueError("a decision curve needs an image, and thresholds above 0 and below 1")
    sums, sizes = _benefits(forecasts, at)
    n_groups = len(sizes)
    model, treat_all = _means(np.ones((1, n_groups)), sums, sizes)
    ends = np.full((2, 2, len(at)), math.nan)
    at_all = np.full(len(at), math.nan)
    if n_groups >= LEAST_GROUPS:
        drawn = [_means(rows, sums, sizes) for rows in group_draws(n_groups, n_draws, seed, 2 * len(at))]
        models, alls = (np.concatenate(part) for part in zip(*drawn, strict=True))
        ends = np.stack([percentiles(models, level), percentiles(_gain(models, alls), level)])
        told = _apart(forecasts, at, treat_all[0] > 0, level)
        at_all[told] = _at_once(
            _gain(model, treat_all)[0, told], _gain(models, alls)[:, told], 1 - (1 - level) / (2 * at_once)
        )
    return pd.DataFrame(
        {
            "threshold": at,
            "net_benefit": model[0],
            "low": ends[0, 0],
            "high": ends[0, 1],
            "treat_all": treat_all[0],
            "gain": _gain(model, treat_all)[0],
            "gain_low": ends[1, 0],
            "gain_high": ends[1, 1],
            "gain_at_once": at_all,
        }
    )


def _apart(
    forecasts: Forecasts, at: NDArray[np.float64], all_is_better: NDArray[np.bool_], level: float
) -> NDArray[np.bool_]:
    """Tell at which thresholds the images that acting on all, or on none, would treat otherwise bear the model out."""
    found = []
    for threshold, acts in zip(at.tolist(), all_is_better, strict=True):
        moved = (forecasts.probability < threshold) if acts else (forecasts.probability >= threshold)
        positive = share(forecasts.happened[moved], forecasts.groups[moved], level)
        found.append(positive.high < threshold if acts else positive.low > threshold)
    return np.array(found, dtype=np.bool_)


def _at_once(gain: NDArray[np.float64], drawn: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Give the lower ends of a band below gains, of shape (n_thresholds,), from draws of shape (n_draws, …)."""
    error = drawn.std(axis=0)
    spread = error > 1e-12
    if not spread.any():
        return np.full(len(gain), math.nan)
    away = ((drawn - gain)[:, spread] / error[spread]).max(axis=1)
    return np.where(spread, gain - np.quantile(away, level) * error, math.nan)


def _benefits(forecasts: Forecasts, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give each group's summed benefit, of shape (2, n_groups, n_thresholds), by model and of all, and its size."""
    _, numbers = np.unique(forecasts.groups, return_inverse=True)
    sizes = np.bincount(numbers).astype(np.float64)
    sums = np.empty((2, len(sizes), len(at)))
    for column, threshold in enumerate(at.tolist()):
        benefit = np.where(forecasts.happened, 1.0, -threshold / (1 - threshold))
        acted = benefit * (forecasts.probability >= threshold)
        sums[:, :, column] = [np.bincount(numbers, weights=values) for values in (acted, benefit)]
    return sums, sizes


def _means(
    drawn: NDArray[np.float64] | NDArray[np.int64], sums: NDArray[np.float64], sizes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weights = drawn.astype(np.float64)
    total = (weights @ sizes)[:, None]
    return weights @ sums[0] / total, weights @ sums[1] / total


def _gain(model: NDArray[np.float64], treat_all: NDArray[np.float64]) -> NDArray[np.float64]:
    return model - np.maximum(treat_all, 0)

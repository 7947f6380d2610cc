"""Whether what is forecast with a probability comes true as often, in bins, and how far chance alone would be off."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.forecasts import Forecasts
from tasks.evaluation.resampling import LEVEL, share

Binning = Literal["width", "mass"]
"""Bins of equal width of the probability, or with equally many forecasts (as far as equal probabilities allow)."""

N_BINS = 15
N_CHANCE_DRAWS = 1000

_FINE = 1000


class CalibrationError(NamedTuple):
    """An expected calibration error and what it would be of a model without any."""

    value: float
    """From 0 to 1."""
    chance: float
    """Mean of the errors of a perfectly calibrated model with these probabilities."""
    chance_high: float
    """What the error of such a model exceeds by chance alone in one case of twenty (`1 - level`)."""


def bin_places(probability: NDArray[np.float64], n_bins: int = N_BINS, by: Binning = "mass") -> NDArray[np.int64]:
    """Give the bin of each forecast, from 0, of shape (n_forecasts,).

    A bin holds its upper edge. Equal probabilities are always in one bin, so bins of equal mass can differ in size,
    and some can be empty.

    Raises
    ------
    ValueError
        If there is no forecast, or no bin.
    """
    if not len(probability) or n_bins < 1:
        raise ValueError(f"expected forecasts and at least one bin, got {len(probability)} and {n_bins}")
    if by == "width":
        return np.clip(np.ceil(probability * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    last = -(-np.arange(1, n_bins) * len(probability) // n_bins) - 1
    edges = np.sort(probability)[last]
    return np.asarray(np.searchsorted(edges, probability, side="left"), dtype=np.int64)


def reliability_table(
    forecasts: Forecasts, *, n_bins: int = N_BINS, by: Binning = "mass", level: float = LEVEL, seed: int = 0
) -> pd.DataFrame:
    """Lay out the reliability diagram (DeGroot and Fienberg, 1983): one row a bin that holds forecasts.

    Parameters
    ----------
    forecasts
        Probabilities, whether they came true, and groups.
    n_bins : int
        Number of bins.
    by : {"mass", "width"}
        How bins are cut; see `bin_places`.
    level : float
        The confidence level of intervals and bars, 0 to 1.
    seed : int
        The same seed gives the same consistency bars.

    Returns
    -------
    DataFrame
        `count` of forecasts; mean `probability`; `frequency` with which they came true; `low` and `high`, the ends of
        its interval, which knows groups (`resampling.share`; NaN for a bin of one group alone); `consistent_low` and
        `consistent_high`, between which the frequency would lie by chance were the model perfectly calibrated and the
        forecasts independent (Bröcker and Smith, 2007; with the probabilities as they are). All but the count 0 to 1.
    """
    places = bin_places(forecasts.probability, n_bins, by)
    filled = np.unique(places)
    tail = (1 - level) / 2
    count, probability, drawn = _chance(forecasts.probability, places, seed)
    bars = np.quantile(drawn / count, [tail, 1 - tail], axis=0)
    found = [share(forecasts.happened[places == place], forecasts.groups[places == place], level) for place in filled]
    frequency, low, high = np.array(found, dtype=np.float64).T
    return pd.DataFrame(
        {
            "count": count,
            "probability": probability,
            "frequency": frequency,
            "low": low,
            "high": high,
            "consistent_low": bars[0],
            "consistent_high": bars[1],
        }
    )


def calibration_error(
    forecasts: Forecasts, *, n_bins: int = N_BINS, by: Binning = "mass", level: float = LEVEL, seed: int = 0
) -> CalibrationError:
    """Compute the expected calibration error, and how large it is of a perfectly calibrated model by chance.

    The error is the mean over forecasts of the gap between their bin's mean probability and its frequency: with bins
    of equal width that of Guo et al. (2017, eq. 3) and `expected_calibration_error`, with bins of equal mass that of
    Nguyen and O'Connor (2015). It is never negative and therefore above 0 by chance alone: what it is to be
    compared with are the errors of outcomes drawn from the forecasts themselves. They are drawn independently; where
    forecasts come in groups, chance alone does more than that.

    Parameters
    ----------
    forecasts, n_bins, by, level, seed
        As in `reliability_table`.
    """
    places = bin_places(forecasts.probability, n_bins, by)
    count, probability, drawn = _chance(forecasts.probability, places, seed)
    happened = np.bincount(places, weights=forecasts.happened)[np.unique(places)]
    errors = np.abs(drawn - count * probability).sum(axis=1) / count.sum()
    value = np.abs(happened - count * probability).sum() / count.sum()
    return CalibrationError(float(value), float(errors.mean()), float(np.quantile(errors, level)))


def _chance(
    probability: NDArray[np.float64], places: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Give count and mean probability of each filled bin, and drawn numbers of forecasts that come true.

    The numbers, of shape (n_draws, n_filled), are drawn at once for all forecasts of a bin whose probabilities agree to
    a thousandth, at their mean: as good as one by one, and as fast for a million.
    """
    fine = places * (_FINE + 1) + np.round(probability * _FINE).astype(np.int64)
    keys, where = np.unique(fine, return_inverse=True)
    size, total = np.bincount(where), np.bincount(where, weights=probability)
    drawn = np.random.default_rng(seed).binomial(size, np.clip(total / size, 0, 1), (N_CHANCE_DRAWS, len(keys)))
    starts = np.unique(keys // (_FINE + 1), return_index=True)[1]
    count = np.add.reduceat(size, starts)
    return count, np.add.reduceat(total, starts) / count, np.add.reduceat(drawn, starts, axis=1)

"""Means over folds, with an interval that knows that the folds share their training images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.evaluation.resampling import LEVEL


@dataclass(frozen=True)
class Summary:
    """One metric of one backbone over its folds.

    Attributes
    ----------
    mean
        Mean over the folds where the metric is defined; None where it is in none.
    std
        Standard deviation over those folds (n - 1 in the denominator); None with fewer than two.
    ci_low, ci_high
        Ends of the 95 % interval of the mean; None with fewer than two folds.
    folds
        The value on each fold, in the order of the folds; None where a fold failed or the metric is undefined.
    """

    mean: float | None
    std: float | None
    ci_low: float | None
    ci_high: float | None
    folds: list[float | None]

    @property
    def n_defined(self) -> int:
        """The number of folds that the mean stands on."""
        return sum(value is not None for value in self.folds)

    def to_json(self) -> dict[str, Any]:
        """Give the fields as a dictionary of plain numbers and None, without NaN."""
        return asdict(self)


def summarise_folds(
    values: Mapping[str, Sequence[float | None]],
    *,
    n_train: Sequence[int],
    n_test: Sequence[int],
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Summary]:
    r"""Each metric's mean, spread and 95 % interval over the folds.

    The interval is the corrected resampled t interval of Nadeau and Bengio (2003, "Inference for the
    Generalization Error", Machine Learning 52, section 4). With k folds of standard deviation s it is

    .. math:: \bar{x} \pm t_{k-1,\,0.975} \sqrt{\left(\frac{1}{k} + \frac{n_{test}}{n_{train}}\right) s^2}

    Folds share training images, so their values are correlated; the plain t interval has 1/k alone and is too narrow.
    Where the images are cut into folds several times, k counts the folds of all repeats (Bouckaert and Frank, 2004,
    "Evaluating the Replicability of Significance Tests for Comparing Learning Algorithms", PAKDD).
    A fold where the metric is None or not finite is left out, of k and of the sizes too.

    Parameters
    ----------
    values
        By metric, one value a fold; None where there is none.
    n_train, n_test
        Number of training and of test images of each fold, in the same order.
    ranges
        By metric, the least and the largest value that it can take; intervals are cut there.

    Raises
    ------
    ValueError
        If a metric has another number of values than there are folds, or a fold has no training or test images.
    """
    if len(n_train) != len(n_test):
        raise ValueError(f"{len(n_train)} training sizes but {len(n_test)} test sizes.")
    if any(size < 1 for size in (*n_train, *n_test)):
        raise ValueError("A fold without training or test images cannot be summarised.")
    ratios = [test / train for train, test in zip(n_train, n_test, strict=True)]
    limits = ranges or {}
    return {
        metric: _summary(metric, series, ratios, limits.get(metric, (-math.inf, math.inf)))
        for metric, series in values.items()
    }


def _summary(
    metric: str, series: Sequence[float | None], ratios: Sequence[float], limits: tuple[float, float]
) -> Summary:
    if len(series) != len(ratios):
        raise ValueError(f"`{metric}` has {len(series)} values, but there are {len(ratios)} folds.")
    folds = [float(value) if value is not None and math.isfinite(value) else None for value in series]
    defined = [(value, ratio) for value, ratio in zip(folds, ratios, strict=True) if value is not None]
    if not defined:
        return Summary(mean=None, std=None, ci_low=None, ci_high=None, folds=folds)
    # The standard library's exact arithmetic: equal values have no spread at all, and the order of folds is nothing.
    mean = statistics.mean(value for value, _ in defined)
    if len(defined) == 1:
        return Summary(mean=mean, std=None, ci_low=None, ci_high=None, folds=folds)
    std = statistics.stdev(value for value, _ in defined)
    error = corrected_standard_error(std, len(defined), statistics.mean(ratio for _, ratio in defined))
    half = _half_width(error, len(defined))
    low, high = limits
    return Summary(mean=mean, std=std, ci_low=max(low, mean - half), ci_high=min(high, mean + half), folds=folds)


def corrected_standard_error(std: float, n_folds: int, ratio: float) -> float:
    r"""Return the standard error of a mean over folds, which share their training images.

    .. math:: \sqrt{\left(\frac{1}{k} + \frac{n_{test}}{n_{train}}\right) s^2}

    (Nadeau and Bengio, 2003, "Inference for the Generalization Error", section 4.)

    Parameters
    ----------
    std : float
        Standard deviation over the folds, s.
    n_folds : int
        Their number, k; with repeated folds, that of all repeats (Bouckaert and Frank, 2004).
    ratio : float
        Test images for each training image.
    """
    return std * math.sqrt(1 / n_folds + ratio)


def _half_width(error: float, n_folds: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n_folds - 1, (1 + LEVEL) / 2)) * error

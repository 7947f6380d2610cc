"""The difference of two models over folds, which share their training images: the corrected resampled t-test."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.comparison.summary import LEVEL, summarise_folds


@dataclass(frozen=True)
class FoldDifference:
    """The first model's value less the second's, over folds.

    Attributes
    ----------
    mean
        Mean over the folds in which both have a value.
    standard_error
        Of that mean, corrected for the training images that the folds share.
    low, high
        Ends of the 95 % interval of the mean.
    p
        Two-sided p-value of no difference; None where all folds have the same difference.
    n_folds
        The number of folds in which both have a value, two or more.
    """

    mean: float
    standard_error: float
    low: float
    high: float
    p: float | None
    n_folds: int

    def to_json(self) -> dict[str, Any]:
        """Give the fields as a dictionary of plain numbers and None, without NaN."""
        return asdict(self)


def corrected_standard_error(std: float, n_folds: int, ratio: float) -> float:
    r"""Return the standard error of a mean over folds.

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


def fold_difference(
    first: Sequence[float | None], second: Sequence[float | None], *, n_train: Sequence[int], n_test: Sequence[int]
) -> FoldDifference | None:
    """Compare two models fold by fold; None with fewer than two folds in which both have a value.

    Parameters
    ----------
    first, second : sequence of float or None, length n_folds
        A metric's value on each fold; None where there is none.
    n_train, n_test : sequence of int, length n_folds
        Number of training and of test images of each fold.

    Raises
    ------
    ValueError
        If the lengths differ, or a fold has no training or test images.
    """
    from scipy.special import stdtr, stdtrit

    pairs = list(zip(first, second, strict=True))
    differences = [None if one is None or other is None else one - other for one, other in pairs]
    summary = summarise_folds({"": differences}, n_train=n_train, n_test=n_test)[""]
    if summary.mean is None or summary.std is None:
        return None
    sizes = zip(n_train, n_test, summary.folds, strict=True)
    ratio = statistics.mean(test / train for train, test, value in sizes if value is not None)
    error = corrected_standard_error(summary.std, summary.n_defined, ratio)
    freedom = summary.n_defined - 1
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(summary.mean) / error)) if error > 0 else None
    return FoldDifference(summary.mean, error, summary.mean - half, summary.mean + half, p, summary.n_defined)

"""The difference of two models over folds, which share their training images: the corrected resampled t-test."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.comparison.summary import corrected_standard_error, summarise_folds


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
    from scipy.special import stdtr

    pairs = list(zip(first, second, strict=True))
    differences = [None if one is None or other is None else one - other for one, other in pairs]
    summary = summarise_folds({"": differences}, n_train=n_train, n_test=n_test)[""]
    if summary.mean is None or summary.std is None or summary.ci_low is None or summary.ci_high is None:
        return None
    sizes = zip(n_train, n_test, summary.folds, strict=True)
    ratio = statistics.mean(test / train for train, test, value in sizes if value is not None)
    error = corrected_standard_error(summary.std, summary.n_defined, ratio)
    p = 2 * float(stdtr(summary.n_defined - 1, -abs(summary.mean) / error)) if error > 0 else None
    return FoldDifference(summary.mean, error, summary.ci_low, summary.ci_high, p, summary.n_defined)

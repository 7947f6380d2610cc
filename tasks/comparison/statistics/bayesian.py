"""How likely one model is better than another, or as good for all that matters: the Bayesian correlated t-test."""

from __future__ import annotations

from typing import NamedTuple

from tasks.comparison.statistics.resampled_t import FoldDifference

ROPE = 0.01
"""Half the width of the region of practical equivalence: models that differ by no more are as good as each other."""


class Belief(NamedTuple):
    """How likely the first model is better, as good, or worse than the second; the three sum to 1."""

    better: float
    equivalent: float
    worse: float


def correlated_t(found: FoldDifference, *, higher_is_better: bool = True, rope: float = ROPE) -> Belief:
    """Return how likely the first model is better than the second, with a flat prior.

    The mean difference follows Student's distribution with k - 1 degrees of freedom around the mean over the k folds,
    scaled by the corrected standard error (Corani and Benavoli, 2015, "A Bayesian approach for comparing
    cross-validated algorithms on multiple data sets"; Benavoli et al., 2017, "Time for a Change: a Tutorial for
    Comparing Multiple Classifiers through Bayesian Analysis", JMLR 18).
    Without any spread over the folds all of it lies at the mean.

    Parameters
    ----------
    found : FoldDifference
        The first model's value less the second's.
    higher_is_better : bool
        Whether a larger value is a better one.
    rope : float
        Half the width of the region of practical equivalence, in the metric's unit; 0 or more.

    Raises
    ------
    ValueError
        If `rope` is negative.
    """
    from scipy.special import stdtr

    if not rope >= 0:
        raise ValueError(f"The region of practical equivalence has the half width {rope}, and it must be 0 or more.")
    gain = found.mean if higher_is_better else -found.mean
    if found.standard_error == 0:
        return Belief(float(gain > rope), float(abs(gain) <= rope), float(gain < -rope))
    freedom = found.n_folds - 1
    better = float(stdtr(freedom, (gain - rope) / found.standard_error))
    worse = float(stdtr(freedom, (-rope - gain) / found.standard_error))
    return Belief(better, max(0.0, 1 - better - worse), worse)

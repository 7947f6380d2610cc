"""P-values of several questions asked at once."""

from __future__ import annotations

import numpy as np

from tasks.comparison.statistics.units import Array


def holm(p_values: Array) -> Array:
    """Return p-values adjusted for how many there are, so that one below α is by chance there in α of all cases.

    The step-down procedure of Holm (1979, "A Simple Sequentially Rejective Multiple Test Procedure"): the smallest of m
    p-values is multiplied by m, the next by m - 1, and so on; none is below one that was smaller before.

    Parameters
    ----------
    p_values : ndarray of shape (n_tests,), 0 to 1
        NaN: no test, and not counted.

    Returns
    -------
    ndarray of shape (n_tests,), 0 to 1; NaN where there was no test
    """
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    smallest_first = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(tested), 0, -1)
    adjusted[smallest_first] = np.minimum(1.0, np.maximum.accumulate(p_values[smallest_first] * factors))
    return adjusted

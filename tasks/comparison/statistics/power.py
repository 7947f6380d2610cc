"""How many groups it would take to tell two models apart."""

from __future__ import annotations

import math

ALPHA = 0.05
"""The level of the test that is planned for."""

POWER = 0.8
"""How often it is to find the difference."""

_MANY = 10_000


def power_of_t(effect: float, n_groups: int, *, alpha: float = ALPHA) -> float:
    """Return how often the two-sided paired t-test finds a difference, 0 to 1.

    From the noncentral t distribution (Cohen, 1988, "Statistical Power Analysis for the Behavioral Sciences").

    Parameters
    ----------
    effect : float
        Mean of the groups' differences over their standard deviation.
    n_groups : int
        Number of groups, two or more.
    alpha : float
        The level of the test, 0 to 1.
    """
    from scipy.special import stdtrit
    from scipy.stats import nct

    shift, limit = abs(effect) * math.sqrt(n_groups), float(stdtrit(n_groups - 1, 1 - alpha / 2))
    # By symmetry, the lower tail is the upper one of the opposite shift; scipy's own lower tail is NaN far out.
    return float(nct.sf(limit, n_groups - 1, shift) + nct.sf(limit, n_groups - 1, -shift))


def groups_needed(
    difference: float, standard_error: float, n_groups: int, *, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Estimate how many groups in all it takes to find a difference; None where there is none, or no spread.

    The estimate takes the difference that was seen for the true one, and so is a rough one: a difference that
    happened to come out large makes the number too small. It is for one test: where several are adjusted for, it takes
    more.

    Parameters
    ----------
    difference : float
        Between two models.
    standard_error : float
        Of that difference.
    n_groups : int
        Number of groups that the two stand on.
    alpha : float
        The level of the two-sided test, 0 to 1.
    power : float
        How often the difference is to be found, 0 to 1, above `alpha`.
    """
    from scipy.special import ndtri

    if not (standard_error > 0 and abs(difference) > 0):
        return None
    effect = abs(difference) / (standard_error * math.sqrt(n_groups))
    # The normal distribution's number is never above Student's, and with many groups they are the same.
    needed = max(2, math.ceil(float((ndtri(1 - alpha / 2) + ndtri(power)) / effect) ** 2))
    while needed < _MANY and power_of_t(effect, needed, alpha=alpha) < power:
        needed += 1
    return needed


def more_groups(
    difference: float, standard_error: float, n_groups: int, *, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Estimate how many groups more it takes, 0 where there are enough; all else as in `groups_needed`."""
    needed = groups_needed(difference, standard_error, n_groups, alpha=alpha, power=power)
    return None if needed is None else max(0, needed - n_groups)

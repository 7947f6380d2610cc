"""What happens when a model may abstain: how often it is wrong on the images that it is surest of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.forecasts import Abstention
from tasks.evaluation.resampling import LEAST_GROUPS, LEVEL, N_DRAWS, Estimate, group_draws, percentiles, share

COVERAGES: tuple[float, ...] = tuple(np.round(np.arange(0.05, 1.001, 0.05), 2).tolist())
"""Shares of the images that the model does not abstain from."""


@dataclass(frozen=True)
class RiskCoverage:
    """How risk grows with coverage.

    Attributes
    ----------
    curve : DataFrame
        One row a coverage: `coverage`, above 0 and at most 1; `risk`, the mean loss over that share of images, those of
        the highest confidence, with the ends `low` and `high` of its interval; `confidence`, from which on the model
        does not abstain. The interval is that of the cluster bootstrap or, where the risk is 0 or 1 and all draws would
        give the same, of `resampling.share`.
    area : Estimate
        The mean risk over all coverages (AURC), 0 to 1; less is better. That of confidence which tells nothing is the
        risk at full coverage. Its interval is that of the cluster bootstrap; there is none where no decision is wrong,
        or all are.
    excess : Estimate
        What the area is above that of confidence which sets all wrong decisions apart (E-AURC); 0 is the best. Its
        interval is like the area's.
    risk : float
        The mean loss over all images.
    """

    curve: pd.DataFrame
    area: Estimate
    excess: Estimate
    risk: float


class _Figures(NamedTuple):
    risks: NDArray[np.float64]
    area: float
    excess: float


def risk_coverage(
    given: Abstention,
    coverages: Sequence[float] = COVERAGES,
    *,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> RiskCoverage:
    """Give the risk-coverage curve (El-Yaniv and Wiener, 2010, JMLR 11, p. 1605) and the areas under it.

    The area is the mean, over k from 1 to the number of images, of the mean loss of the k images of the highest
    confidence; its excess is over the least area that any order of the images has (Geifman et al., 2019).
    Images of equal confidence stand in no order, and each figure is its mean over their orders: where all are equal,
    the risk is the same at every coverage.

    Parameters
    ----------
    given
        Confidence, loss and groups.
    coverages : sequence of float
        Above 0 and at most 1.
    level : float
        The confidence level of the intervals, 0 to 1.
    n_draws, seed : int
        How often groups are drawn; the same seed gives the same intervals. With fewer than `LEAST_GROUPS` groups there
        are none.

    Raises
    ------
    ValueError
        If there is no image, or a coverage is out of bounds.
    """
    at = np.asarray(coverages, dtype=np.float64)
    if not len(given.loss) or not ((at > 0) & (at <= 1)).all():
        raise ValueError("a risk-coverage curve needs an image, and coverages above 0 and at most 1")
    given, ends = _sorted(given)
    ascending = np.argsort(given.loss, kind="stable")
    whole = _figures(np.ones(len(given.loss)), given.loss, ends, ascending, at)
    groups, n_groups = given.groups, int(given.groups.max()) + 1
    bounds = np.full((2, len(at) + 2), math.nan)
    if n_groups >= LEAST_GROUPS:
        weights = (row[groups].astype(np.float64) for rows in group_draws(n_groups, n_draws, seed) for row in rows)
        found = [_figures(row, given.loss, ends, ascending, at) for row in weights]
        bounds = percentiles(np.array([np.append(one.risks, [one.area, one.excess]) for one in found]), level)
    last = np.ceil(at * len(given.loss) - 1e-9).astype(np.int64) - 1
    bounds[:, :-2] = _honest(bounds[:, :-2], whole.risks, given, last, level)
    if given.loss.min() == given.loss.max():
        bounds[:, -2:] = math.nan
    curve = pd.DataFrame(
        {
            "coverage": at,
            "risk": whole.risks,
            "low": bounds[0, :-2],
            "high": bounds[1, :-2],
            "confidence": given.confidence[last],
        }
    )
    return RiskCoverage(
        curve=curve,
        area=Estimate(whole.area, *bounds[:, -2].tolist()),
        excess=Estimate(whole.excess, *bounds[:, -1].tolist()),
        risk=float(given.loss.mean()),
    )


def most_coverage(given: Abstention, risk: float) -> tuple[float, float]:
    """Give the largest coverage whose risk on these images is at most `risk`, and the confidence that it takes.

    Images of equal confidence are all taken or all left. (0, NaN) where no confidence is enough. The risk on other
    images can be higher: choose on images that are not scored.
    """
    given, ends = _sorted(given)
    low_enough = ends[np.cumsum(given.loss)[ends] / (ends + 1) <= risk + 1e-12]
    if not len(low_enough):
        return 0.0, math.nan
    return float(low_enough[-1] + 1) / len(given.loss), float(given.confidence[low_enough[-1]])


def _honest(
    bounds: NDArray[np.float64], risks: NDArray[np.float64], given: Abstention, last: NDArray[np.int64], level: float
) -> NDArray[np.float64]:
    """Give the ends with those replaced that would feign certainty, where all decisions or none are wrong."""
    found = bounds.copy()
    for place in np.flatnonzero(~np.isnan(bounds[0]) & ((risks == 0) | (risks == 1))):
        kept = slice(last[place] + 1)
        found[:, place] = share(given.loss[kept] == 1, given.groups[kept], level)[1:]
    return found


def _sorted(given: Abstention) -> tuple[Abstention, NDArray[np.int64]]:
    """Give the images from sure to unsure, their groups numbered from 0, and the last place of each confidence."""
    order = np.argsort(-given.confidence, kind="stable")
    numbers = np.unique(given.groups, return_inverse=True)[1]
    ordered = Abstention(given.confidence[order], given.loss[order], numbers[order])
    return ordered, np.flatnonzero(np.append(np.diff(ordered.confidence) < 0, True))


def _figures(
    weights: NDArray[np.float64],
    loss: NDArray[np.float64],
    ends: NDArray[np.int64],
    ascending: NDArray[np.int64],
    at: NDArray[np.float64],
) -> _Figures:
    """Give risks and areas of images sorted from sure to unsure, each of which counts `weights` times."""
    n, lost = _sums(weights, loss, ends)
    # Along images of equal confidence, the loss that is to be expected grows evenly.
    wanted = at * n[-1]
    kept = np.arange(1, int(n[-1]) + 1)
    area = float((np.interp(kept, n, lost) / kept).mean())
    best = np.interp(kept, *_sums(weights[ascending], loss[ascending], np.arange(len(loss))))
    return _Figures(np.interp(wanted, n, lost) / wanted, area, area - float((best / kept).mean()))


def _sums(
    weights: NDArray[np.float64], loss: NDArray[np.float64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the number of images and their loss up to none and up to each of `ends`."""
    return np.append(0.0, np.cumsum(weights)[ends]), np.append(0.0, np.cumsum(weights * loss)[ends])

"""What deciding with the backbones' probabilities comes to, in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from tasks.comparison.decisions.decided import COVERAGE, Decided
from tasks.comparison.statistics.paired import LEAST_GROUPS
from tasks.comparison.text import number
from tasks.dataset.wording import counted
from tasks.evaluation.resampling import Estimate
from tasks.evaluation.risk_coverage import RiskCoverage

_PERCENT = "\u00a0%"


def decision_sentences(found: Decided) -> tuple[str, ...]:
    """Tell what abstaining does, which thresholds reach what, and whether acting on probabilities does good."""
    best = next(iter(found.risks))
    return (
        _abstaining(best, found.risks[best], found.spared, found.n_groups),
        *_thresholds(found, best),
        *_acting(found, best),
    )


def at_coverage(own: RiskCoverage, coverage: float) -> Estimate:
    """Give the risk at one of the curve's coverages, with its interval."""
    row = own.curve.iloc[int((own.curve["coverage"] - coverage).abs().argmin())]
    return Estimate(*(float(row[name]) for name in ("risk", "low", "high")))


def percent(value: float) -> str:
    """Write a share of something, `3.1 %`, on one line."""
    return f"{100 * value:.1f}{_PERCENT}"


def threshold(value: float) -> str:
    """Write a threshold with three decimals; `none` where none but one above every probability would do."""
    return "none" if value > 1 else number(value)


def _abstaining(name: str, own: RiskCoverage, spared: Estimate, n_groups: int) -> str:
    """Say what a backbone errs on if it decides only the images that it is surest of."""
    if own.risk == 0:
        return f"{name} is wrong on no image, so that there is nothing to gain by abstaining."
    some = at_coverage(own, COVERAGE)
    figures = (
        f"answering only the surest {100 * COVERAGE:.0f} % of images, {name} is wrong on {percent(some.value)}"
        f"{_interval(some)} of them instead of {percent(own.risk)}"
    )
    if n_groups < LEAST_GROUPS or not (spared.low > 0 or spared.high < 0):
        return f"Whether abstaining helps is not certain: {figures}."
    return f"Abstaining {'helps' if spared.low > 0 else 'does harm'}: {figures}."


def _thresholds(found: Decided, best: str) -> list[str]:
    if not len(found.points):
        return []
    own = found.points[found.points["backbone"] == best]
    if len(found.events) == 1:
        told = [_point(row) for _, row in _highest(own).iterrows()]
    else:
        every = len(found.events) == found.n_events
        which = "each" if every else f"the {len(found.events)} of {found.n_events} that most images have"
        told = [f"The table has thresholds of {best} for {which}, one against the rest."]
    optimistic = "Thresholds were chosen on these same images, so that on new ones they reach a little less than told"
    if not found.n_holdout:
        return [*told, f"{optimistic}; no held out images can say how much."]
    if len(found.events) > 1:
        return [*told, f"{optimistic}; the table tells what they do on {counted(found.n_holdout, 'held out image')}."]
    there = [
        f"{percent(row['holdout_sensitivity'])} sensitivity and {percent(row['holdout_specificity'])} specificity "
        f"instead of {percent(row['sensitivity'])} and {percent(row['specificity'])}"
        for _, row in _highest(own).iterrows()
        if not math.isnan(row["holdout_sensitivity"] + row["holdout_specificity"])
    ]
    if not there:
        return [*told, f"{optimistic}; the holdout lacks images on one side, so that it cannot say how much."]
    return [
        *told,
        f"{optimistic}; on {counted(found.n_holdout, 'held out image')}, which neither model nor threshold has seen, "
        f"the mean of all folds gives {'; '.join(there)}.",
    ]


def _highest(points: pd.DataFrame) -> pd.DataFrame:
    """Give the row of the highest wanted sensitivity, and that of the highest wanted specificity."""
    return points.loc[points.groupby("wanted", sort=True)["target"].idxmax()]


def _point(row: Any) -> str:
    other = "specificity" if row["wanted"] == "sensitivity" else "sensitivity"
    reached, paid, cut = (_estimate(row, name) for name in (row["wanted"], other, "threshold"))
    wanted = f"a {row['wanted']} of {100 * row['target']:g} %"
    if cut.value > 1:
        return f"For {wanted}, {row['backbone']} may call no image {row['event']!r}."
    return (
        f"For {wanted}, {row['backbone']} calls an image {row['event']!r} from a probability of {number(cut.value)}"
        f"{_interval(cut, number)} on; {other} is then {percent(paid.value)}{_interval(paid, said='')}, and "
        f"{row['wanted']} {percent(reached.value)}{_interval(reached, said='')}."
    )


def _acting(found: Decided, best: str) -> list[str]:
    more = f"acting on {best}'s probabilities does more good than acting on all images or on none"
    if found.curves and found.n_groups < LEAST_GROUPS:
        return [f"Whether {more} cannot be told: the images come from too few groups."]
    told = [
        f"{event!r} {'at every threshold' if good == 'all' else good}"
        for event, curves in found.curves.items()
        if (good := _where_good(curves[best]))
    ]
    if told:
        return [
            f"{more[0].upper()}{more[1:]} for {_joined(told)}: beyond chance, by intervals that hold for all "
            "thresholds at once."
        ]
    if found.curves:
        return [
            f"At no threshold does acting on {best}'s probabilities do more good than acting on all images or on none "
            "beyond chance; that does not show that it does none."
        ]
    return []


def _where_good(curve: pd.DataFrame) -> str:
    """Say at which thresholds the gain is surely above 0; nothing where it is nowhere."""
    good = (curve["gain_at_once"] > 0).to_numpy()
    if not good.any():
        return ""
    if good.all():
        return "all"
    at = curve["threshold"].to_numpy()[good]
    ends = f"thresholds from {at.min():.2f} to {at.max():.2f}"
    whole = ((curve["threshold"] >= at.min()) & (curve["threshold"] <= at.max())).sum() == len(at)
    return f"at {ends}" if whole else f"at {len(at)} of {len(curve)} thresholds"


def _estimate(row: Any, name: str) -> Estimate:
    return Estimate(*(float(row[f"{name}{end}"]) for end in ("", "_low", "_high")))


def _interval(value: Estimate, written: Callable[[float], str] = percent, said: str = "95 % interval ") -> str:
    if math.isnan(value.low):
        return ""
    low, high = (written(min(end, 1.0)) for end in value[1:])
    return f" ({said}{low.removesuffix(_PERCENT)} to {high})"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"

"""Where the dots and intervals of the report's plot stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.comparison.summary import Summary

_MARGIN = 3.0
_LEAST_SPAN = 0.02


@dataclass(frozen=True)
class PlotRow:
    """One backbone's places on the axis, each in percent of the plot's width.

    Attributes
    ----------
    name
        The backbone.
    mean, low, high
        Its mean and the ends of its interval; None where there is none.
    folds
        The value of each fold that has one.
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    folds: list[float]


@dataclass(frozen=True)
class Plot:
    """A plot of intervals: an axis with its ticks, and a row a backbone.

    Attributes
    ----------
    ticks
        Place in percent and label of each tick.
    rows
        The backbones from top to bottom.
    reference
        Place of a value to compare with, such as that of guessing; None where there is none or it is off the axis.
    """

    ticks: list[tuple[float, str]]
    rows: list[PlotRow]
    reference: float | None


def place_intervals(
    summaries: Mapping[str, Summary | None], limits: tuple[float, float], reference: float | None = None
) -> Plot | None:
    """Lay out one row for each of `summaries`, in their order, on one axis that fits all values.

    Parameters
    ----------
    summaries
        By backbone, the metric that is plotted; None where there is none.
    limits
        The least and the largest value that the metric can take (infinite where there is no bound).
    reference
        A value to mark.

    Returns
    -------
    Plot or None
        None when there is no value at all.
    """
    from matplotlib.ticker import MaxNLocator

    values = [value for summary in summaries.values() if summary is not None for value in _values(summary)]
    if not values:
        return None
    low, high = _span(min(values), max(values), limits)

    def place(value: float) -> float:
        return round(_MARGIN + (100 - 2 * _MARGIN) * (value - low) / (high - low), 3)

    ticks = [float(tick) for tick in MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(low, high)]
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    marked = reference is not None and low <= reference <= high
    return Plot(
        ticks=[(place(tick), f"{tick:z.{digits}f}") for tick in ticks if low - 1e-9 <= tick <= high + 1e-9],
        rows=[_row(name, summary, place) for name, summary in summaries.items()],
        reference=place(reference) if marked and reference is not None else None,
    )


def _values(summary: Summary) -> list[float]:
    return [value for value in (*summary.folds, summary.mean, summary.ci_low, summary.ci_high) if value is not None]


def _span(low: float, high: float, limits: tuple[float, float]) -> tuple[float, float]:
    room = max(0.04 * (high - low), _LEAST_SPAN)
    return max(low - room, limits[0]), min(high + room, limits[1])


def _row(name: str, summary: Summary | None, place: Callable[[float], float]) -> PlotRow:
    if summary is None:
        return PlotRow(name=name, mean=None, low=None, high=None, folds=[])
    mean, low, high = (None if v is None else place(v) for v in (summary.mean, summary.ci_low, summary.ci_high))
    folds = [place(value) for value in summary.folds if value is not None]
    return PlotRow(name=name, mean=mean, low=low, high=high, folds=folds)

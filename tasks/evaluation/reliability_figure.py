"""The reliability diagram with its intervals, such as before and after scaling, as a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.evaluation.forecasts import Forecasts
from tasks.evaluation.reliability import N_BINS, Binning, calibration_error, reliability_table
from tasks.evaluation.style import QUIET, ROLES, figure, shown, tidy, widest

_FIFTHS = np.linspace(0, 1, 6)
_COUNTED = np.linspace(0, 1, 21)
_CONSISTENT = "#D5DAE0"


def reliability_figure(
    forecasts: Mapping[str, Forecasts],
    *,
    n_bins: int = N_BINS,
    by: Binning = "mass",
    x: str = "probability of what was decided",
    y: str = "share that is right",
) -> Figure:
    """Draw a reliability diagram for each of `forecasts`, side by side, and below it how often each probability occurs.

    Dots are bins with the interval of their frequency, which knows groups. Grey bars are where they would lie by chance
    were the model perfectly calibrated and forecasts independent. The title tells the expected calibration error and
    what chance alone reaches in one case of twenty.

    Parameters
    ----------
    forecasts : mapping of str to Forecasts
        By title, such as `before` and `temperature 1.6`.
    n_bins, by
        As in `reliability.reliability_table`.
    x, y : str
        What the probability is of, and what coming true means.
    """
    n = len(forecasts)
    least = min(float(given.probability.min()) for given in forecasts.values())
    drawn = figure(n * max(4.2, widest(map(shown, forecasts), 12) + 0.2), 4.4)
    panels = drawn.subplots(2, n, sharex=True, height_ratios=[3, 1], squeeze=False, gridspec_kw={"hspace": 0.12})
    for (title, given), above, below in zip(forecasts.items(), panels[0], panels[1], strict=True):
        error = calibration_error(given, n_bins=n_bins, by=by)
        _bins(above, reliability_table(given, n_bins=n_bins, by=by))
        tidy(above, f"{shown(title)}\nECE {error.value:.3f} (chance: up to {error.chance_high:.3f})", "", "")
        below.hist(given.probability, _COUNTED, color="#C3C9D0", rwidth=0.92)
        tidy(below, "", x, "")
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        below.set(xlim=(max(0.0, math.floor(least * 10 - 1) / 10), 1.02))
    panels[0][0].set_ylabel(y)
    panels[1][0].set_ylabel("forecasts")
    panels[0][0].legend(frameon=False, loc="lower right", fontsize=9)
    return drawn


def _bins(axes: Axes, table: pd.DataFrame) -> None:
    places, frequency = table["probability"], table["frequency"].to_numpy()
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle="--", label="perfectly calibrated")
    axes.vlines(
        places, table["consistent_low"], table["consistent_high"], color=_CONSISTENT, linewidth=7,
        label="… by chance (95 %)",
    )  # fmt: skip
    ends = np.abs(table[["low", "high"]].to_numpy() - frequency[:, None]).T
    axes.errorbar(
        places, frequency, yerr=np.nan_to_num(ends), fmt="o", color=ROLES["train"], markersize=5, elinewidth=1.2,
        label="observed, 95 % interval",
    )  # fmt: skip
    axes.set(ylim=(-0.03, 1.04), yticks=_FIFTHS)

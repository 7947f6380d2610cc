"""Decision curves and risk-coverage curves of some models on the same images, as figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tasks.evaluation.risk_coverage import RiskCoverage
from tasks.evaluation.style import QUIET, figure, line_styles, shown, tidy, widest

_WIDTH, _HEIGHT = 5.2, 4.2
_SIZE = 9


def decision_curve_figure(curves: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw the net benefit of each model, and of acting on all images and on none, over the threshold.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        By the model's name, what `decision_curve.decision_curve` gives for the same images and thresholds; one or more.
    title : str
        What is acted on, such as a class's name.
    """
    names = [shown(name) for name in curves]
    drawn = _beside([*names, "act on none"])
    axes = drawn.subplots()
    for name, table, style in zip(names, curves.values(), line_styles(len(curves)), strict=True):
        axes.plot(table["threshold"], table["net_benefit"], label=name, **style)
        axes.fill_between(table["threshold"], table["low"], table["high"], color=style["color"], alpha=0.13, lw=0)
    first = next(iter(curves.values()))
    axes.plot(first["threshold"], first["treat_all"], color=QUIET, linewidth=1, label="act on all")
    axes.axhline(0, color="black", linewidth=1, label="act on none")
    shares = [first["treat_all"].max(), *(table[["net_benefit", "high"]].max().max() for table in curves.values())]
    top = max(float(np.nanmax(shares)), 0.01)
    axes.set(xlim=(0, 1), ylim=(-0.25 * top, 1.1 * top))
    y = f"net benefit an image{_told(curves.values())}"
    tidy(axes, f"Net benefit of acting on {shown(title)}", "probability from which on to act", y)
    axes.legend(frameon=False, fontsize=_SIZE, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return drawn


def risk_coverage_figure(curves: Mapping[str, RiskCoverage]) -> Figure:
    """Draw each model's risk over the share of images that it does not abstain from, with intervals and areas.

    Parameters
    ----------
    curves : mapping of str to RiskCoverage
        By the model's name, for the same images; one or more.
    """
    names = [f"{shown(name)} (area {curve.area.value:.3f})" for name, curve in curves.items()]
    drawn = _beside(names)
    axes = drawn.subplots()
    for name, found, style in zip(names, curves.values(), line_styles(len(curves)), strict=True):
        table = found.curve
        axes.plot(table["coverage"], table["risk"], label=name, **style)
        axes.fill_between(table["coverage"], table["low"], table["high"], color=style["color"], alpha=0.13, lw=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(axes.get_ylim()[1], 0.01))
    y = f"share wrong{_told(found.curve for found in curves.values())}"
    tidy(axes, "Risk if the model abstains where it is least sure", "coverage: share of images decided", y)
    axes.legend(frameon=False, fontsize=_SIZE, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return drawn


def _told(tables: Iterable[pd.DataFrame]) -> str:
    return " (bands: 95 % intervals)" if any(table["low"].notna().any() for table in tables) else ""


def _beside(labels: list[str]) -> Figure:
    return figure(_WIDTH, _HEIGHT, right=widest(labels, _SIZE) + 0.8)

"""The part of a comparison that tells what the backbones cost beside what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tasks.comparison.cost.table import SPEED, WORK, cost_frame, cost_table
from tasks.comparison.cost.told import cost_told
from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Drawing, Section
from tasks.comparison.text import metric_title
from tasks.evaluation.metrics import higher_is_better, metric_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AXES = {SPEED: "milliseconds an image, 32 at a time", WORK: "GFLOPs an image"}


def cost_section(evidence: Evidence) -> Section | None:
    """Tell what each backbone costs, which are worth it, and on what machine that was measured; None without costs."""
    costs = {name: evidence.costs[name] for name in evidence.results if name in evidence.costs}
    if not any(own.figures for own in costs.values()):
        return None
    metric, frame = evidence.metrics[0], cost_frame(evidence, costs)
    return Section(
        key="cost",
        title="What they cost",
        sentences=tuple(cost_told(evidence, costs, frame)),
        tables=(cost_table(frame, metric),),
        drawings=_drawings(evidence, frame),
    )


def _drawings(evidence: Evidence, frame: pd.DataFrame) -> tuple[Drawing, ...]:
    """Give the plot of scores against costs; none where no backbone has both."""
    metric = evidence.metrics[0]
    axes = {name: title for name, title in _AXES.items() if name in frame}
    if "score" not in frame or not axes:
        return ()
    known = frame.reindex(columns=["backbone", "score", "low", "high", *axes])
    known = known.dropna(subset=["score"]).dropna(subset=list(axes), how="all")
    if known.empty:
        return ()
    title, limits = metric_title(metric), metric_range(metric, len(evidence.plan.manifest.classes))
    caption = (
        f"{title[0].upper()}{title[1:]} with its 95 % interval against what it costs. The line joins the backbones "
        "that no other one beats in both, by their scores as they were measured."
    )

    def draw() -> Figure:
        from tasks.comparison.cost.figure import cost_figure

        return cost_figure(known, axes, title, limits, higher_is_better=higher_is_better(metric))

    return (Drawing("score_against_cost", caption, draw),)

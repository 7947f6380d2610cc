"""What the backbones cost beside what they score, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from tasks.comparison.costs import Cost, pareto_front
from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Table
from tasks.comparison.text import metric_title
from tasks.evaluation.metrics import higher_is_better

SPEED, WORK = "milliseconds", "gflops"
"""The columns that scores are held against: milliseconds an image in batches of 32, GFLOPs an image."""

_TITLES = {
    "backbone": "backbone",
    "score": "score",
    "low": "from",
    "high": "to",
    "on_front": "on the front",
    "milliseconds_1": "ms for one image",
    "images_per_second_1": "images/s, one by one",
    "images_per_second_32": "images/s, 32 at a time",
    "gflops": "GFLOPs an image",
    "parameters": "parameters",
    "model_mb": "file, MB",
    "train_seconds": "training a fold, s",
    "peak_memory_mb": "peak memory, MB",
}
_SCORES = ("score", "low", "high")
_WORDS = ("backbone", "on_front")


def cost_frame(evidence: Evidence, costs: Mapping[str, Cost]) -> pd.DataFrame:
    """Give a row a backbone, in the order of `costs`; columns that nothing is known of are left out.

    Scores are those of the comparison, on the same images for all backbones.
    """
    compared, metric = evidence.compared, evidence.metrics[0]
    scores = {own.model: own for own in compared.scores if own.metric == metric} if compared is not None else {}
    rows = []
    for name, cost in costs.items():
        own, one = scores.get(name), cost.figures.get("images_per_second_1")
        scored = {} if own is None else {"score": own.value, "low": own.low, "high": own.high}
        timed = {"milliseconds_1": 1000 / one if one else None, SPEED: cost.milliseconds}
        rows.append({"backbone": name, **scored, **cost.figures, **timed})
    frame = pd.DataFrame(rows).reindex(columns=[*_TITLES, SPEED])
    figures = frame.columns.drop(list(_WORDS))
    frame[figures] = frame[figures].astype(float)
    known = frame[["score", SPEED]].notna().all(axis=1)
    on_it = frame["backbone"].isin(front_of(frame, metric, SPEED))
    frame["on_front"] = on_it.astype(object).where(known, None)
    return frame.dropna(axis="columns", how="all")


def front_of(frame: pd.DataFrame, metric: str, cost: str) -> list[str]:
    """Give the backbones that no other one dominates in score and in the column `cost`, the cheapest first."""
    if not {"score", cost} <= set(frame):
        return []
    known = frame.dropna(subset=["score", cost])
    scores, costs = known["score"].tolist(), known[cost].tolist()
    on_it = pareto_front(scores, costs, higher_is_better=higher_is_better(metric))
    return known[on_it].sort_values(cost, kind="stable")["backbone"].tolist()


def cost_table(frame: pd.DataFrame, metric: str) -> Table:
    """Give the table for pages and files."""
    title = metric_title(metric)
    caption = (
        f"What the backbones cost beside their {title} with its 95 % interval, on the images that all of them have "
        "predicted. On the front: no other backbone is both at least as good and at least as fast."
    )
    titles = {name: title if name == "score" else own for name, own in _TITLES.items() if name in frame}
    formats: dict[str, Callable[[Any], str]] = dict.fromkeys(frame.columns.difference([*_WORDS, *_SCORES]), figure)
    return Table("cost", caption, frame, titles, formats | {"parameters": "{:,.0f}".format})


def figure(value: float) -> str:
    """Write a figure with two or three digits that matter: `1,234`, `56.7`, `0.32`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

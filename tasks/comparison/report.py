"""The report of an experiment: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from tasks.comparison import text
from tasks.comparison.interval_plot import place_intervals
from tasks.comparison.looks_told import LookRow
from tasks.comparison.ranking import mean_of, rank
from tasks.comparison.section import Section
from tasks.comparison.summary import Summary
from tasks.comparison.verdict import verdict
from tasks.config import Kind
from tasks.dataset.pages import page_template
from tasks.explanation.location import area_shares


@dataclass(frozen=True)
class FoldReport:
    """One fold run, as the report tells of it.

    Attributes
    ----------
    fold
        Its number, as in MLflow.
    status
        How it ended; `missing`: it was not asked for, or the experiment ended before it.
    value
        The ranking metric on its test images; None where there is none.
    run_id
        Its MLflow run, if it has one.
    error
        Why it failed, in one sentence.
    """

    fold: int
    status: Literal["completed", "reused", "failed", "missing"]
    value: float | None = None
    run_id: str | None = None
    error: str = ""


@dataclass(frozen=True)
class BackboneReport:
    """One backbone, as the report tells of it.

    Attributes
    ----------
    name, title
        Its registry name, and what it is in words.
    summaries
        By metric (per-class ones too), the figures over its folds.
    folds
        Its fold runs, in the order of the folds.
    n_images
        How many images have an out-of-fold prediction by it.
    start
        What it started from and what was trained, such as `imagenet, base frozen`.
    holdout
        By metric, the fold ensemble's score on the holdout; empty without a holdout.
    seconds
        Seconds that its fold runs took together; None where unknown.
    run_id
        Its MLflow run.
    """

    name: str
    title: str
    summaries: Mapping[str, Summary]
    folds: Sequence[FoldReport]
    n_images: int
    start: str = ""
    holdout: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    run_id: str | None = None

    @property
    def n_done(self) -> int:
        """How many of its fold runs are done, now or earlier."""
        return sum(run.status in ("completed", "reused") for run in self.folds)


@dataclass(frozen=True)
class Sheet:
    """A picture in the report: its caption, and the PNG file's bytes."""

    caption: str
    png: bytes


@dataclass(frozen=True)
class ReportContext:
    """All that the report says.

    Attributes
    ----------
    name, description
        The experiment's.
    date
        When it ended, as text.
    version
        foldcam's version.
    data_digest
        The manifest's SHA-256.
    metric, higher_is_better
        What the backbones are ranked by, and whether more of it is better.
    metric_limits
        The least and the largest value that it can take.
    n_images, n_folds, n_holdout
        Images in the folds, folds of all repeats, and images of the holdout (0 without one).
    n_repeats
        How often the images were cut into folds.
    kind
        The kind of labels.
    backbones
        In any order.
    class_counts
        One row a class (the index), one column a fold or split, whole numbers.
    settings
        The experiment file's text.
    sheets
        Contact sheets and mean maps.
    looks
        How far each backbone's maps can be believed, one row a method.
    sections
        The parts of the comparison, in order.
    has_gallery
        Whether `explanations.html` lies beside the report.
    warnings
        What a reader must know before believing a figure; one plain sentence each.
    chance
        What guessing gives on the ranking metric; None where that is not known.
    seconds
        What the whole experiment took; None where unknown.
    tracking_uri, experiment_run_id
        Where the runs are in MLflow.
    """

    name: str
    description: str
    date: str
    version: str
    data_digest: str
    metric: str
    higher_is_better: bool
    n_images: int
    n_folds: int
    backbones: Sequence[BackboneReport]
    class_counts: pd.DataFrame
    settings: str
    metric_limits: tuple[float, float] = (-math.inf, math.inf)
    n_holdout: int = 0
    n_repeats: int = 1
    kind: Kind = "multiclass"
    sheets: Sequence[Sheet] = ()
    looks: Sequence[LookRow] = ()
    sections: Sequence[Section] = ()
    has_gallery: bool = False
    warnings: Sequence[str] = ()
    chance: float | None = None
    seconds: float | None = None
    tracking_uri: str = ""
    experiment_run_id: str = ""


def report_html(context: ReportContext) -> str:
    """Give the report as one HTML page with its styles and pictures inside, readable from disk without a network."""
    functions = (text.metric_title, text.number, text.mean_and_spread, text.interval, text.duration, text.count)
    return page_template(Path(__file__).with_name("report.html.j2"), functions).render(_values(context))


def _values(context: ReportContext) -> dict[str, Any]:
    by_name = {backbone.name: backbone for backbone in context.backbones}
    summaries = {name: backbone.summaries for name, backbone in by_name.items()}
    defined = [[name for name, own in by.items() if own.mean is not None] for by in summaries.values()]
    order = rank(summaries, context.metric, higher_is_better=context.higher_is_better)
    backbones = [by_name[name] for name in order]
    reasons = _reasons(backbones)
    main = {name: by_name[name].summaries.get(context.metric) for name in order}
    return {
        "c": context,
        "verdict": verdict(
            summaries, context.metric, higher_is_better=context.higher_is_better, n_repeats=context.n_repeats
        ),
        "backbones": backbones,
        "n_ranked": sum(mean_of(own.summaries, context.metric) is not None for own in backbones),
        "plot": place_intervals(main, context.metric_limits, context.chance),
        "has_interval": any(summary is not None and summary.ci_low is not None for summary in main.values()),
        "folds": sorted({run.fold for backbone in backbones for run in backbone.folds}),
        "runs": {backbone.name: {run.fold: run for run in backbone.folds} for backbone in backbones},
        "reasons": reasons,
        "n_failed": sum(len(numbers) for _, numbers, _ in reasons),
        "n_missing": sum(run.status == "missing" for own in backbones for run in own.folds),
        "metrics": _metrics(context.metric, defined),
        "holdout_metrics": _metrics(context.metric, [own.holdout for own in backbones]),
        "f1_by_class": _classes(defined, "f1/"),
        "counts": _count_rows(context.class_counts),
        "areas": area_shares(),
        "has_regions": any(row.hit != text.NOTHING for row in context.looks),
        "pictures": [(sheet.caption, base64.b64encode(sheet.png).decode("ascii")) for sheet in context.sheets],
    }


def _reasons(backbones: Sequence[BackboneReport]) -> list[tuple[str, list[int], str]]:
    folds: dict[tuple[str, str], list[int]] = {}
    for own in backbones:
        for run in own.folds:
            if run.status == "failed":
                folds.setdefault((own.name, run.error), []).append(run.fold)
    return [(name, numbers, error) for (name, error), numbers in folds.items()]


def _metrics(first: str, of_backbones: Sequence[Iterable[str]]) -> list[str]:
    names = dict.fromkeys(name for own in of_backbones for name in own if "/" not in name)
    return sorted(names, key=lambda name: name != first)


def _classes(of_backbones: Sequence[Iterable[str]], prefix: str) -> list[tuple[str, str]]:
    names = dict.fromkeys(name for own in of_backbones for name in own if name.startswith(prefix))
    return [(name, name.removeprefix(prefix)) for name in names]


def _count_rows(table: pd.DataFrame) -> list[tuple[str, list[int], int]]:
    return [(str(name), [int(n) for n in row], int(row.sum())) for name, row in table.iterrows()]

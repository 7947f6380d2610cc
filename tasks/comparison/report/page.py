"""The report of an experiment: one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from tasks.comparison import text
from tasks.comparison.ranking import mean_of, rank
from tasks.comparison.report.context import BackboneReport, ReportContext
from tasks.comparison.report.inline import Room
from tasks.comparison.report.interval_plot import place_intervals
from tasks.comparison.report.parts import Part, Parts, shown_parts
from tasks.comparison.summary import Summary
from tasks.comparison.verdict import verdict
from tasks.dataset.pages import page_template
from tasks.explanation.location import area_shares


def report_html(context: ReportContext) -> str:
    """Give the report as one HTML page with its styles and pictures inside, readable from disk without a network."""
    functions = (text.metric_title, text.number, text.mean_and_spread, text.interval, text.duration, text.count, marked)
    return page_template(Path(__file__).with_name("report.html.j2"), functions).render(_values(context))


def marked(sentence: str) -> Markup:
    """Give a sentence for the page, what stands between backticks as code; nothing in it is markup."""
    pieces = escape(sentence).split("`")
    if len(pieces) % 2 == 0:
        return escape(sentence)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else piece for place, piece in enumerate(pieces)
    )


def _values(context: ReportContext) -> dict[str, Any]:
    by_name = {backbone.name: backbone for backbone in context.backbones}
    summaries = {name: backbone.summaries for name, backbone in by_name.items()}
    defined = [[name for name, own in by.items() if own.mean is not None] for by in summaries.values()]
    order = rank(summaries, context.metric, higher_is_better=context.higher_is_better)
    backbones = [by_name[name] for name in order]
    reasons = _reasons(backbones)
    main = {name: by_name[name].summaries.get(context.metric) for name in order}
    room = Room()
    parts = shown_parts(context.sections, context.drawn, room)
    shown = {
        "metrics": _metrics(context.metric, defined),
        "holdout_metrics": _metrics(context.metric, [own.holdout for own in backbones]),
        "pictures": [room.take(sheet.png, sheet.caption) for sheet in context.sheets],
    }
    return shown | {
        "c": context,
        "parts": parts,
        "verdict": _verdict(context, parts, summaries),
        "answers": [own for own in (*parts.middle, *parts.last) if own.sentences],
        "contents": _contents(context, parts, {name for name, found in shown.items() if found}),
        "warnings": list(dict.fromkeys(context.warnings)),
        "backbones": backbones,
        "n_ranked": sum(mean_of(own.summaries, context.metric) is not None for own in backbones),
        "plot": place_intervals(main, context.metric_limits, context.chance),
        "has_interval": any(summary is not None and summary.ci_low is not None for summary in main.values()),
        "folds": sorted({run.fold for backbone in backbones for run in backbone.folds}),
        "runs": {backbone.name: {run.fold: run for run in backbone.folds} for backbone in backbones},
        "reasons": reasons,
        "n_failed": sum(len(numbers) for _, numbers, _ in reasons),
        "n_missing": sum(run.status == "missing" for own in backbones for run in own.folds),
        "counts": _count_rows(context.class_counts),
        "areas": area_shares(),
        "has_regions": any(row.hit != text.NOTHING for row in context.looks),
    }


def _verdict(context: ReportContext, parts: Parts, summaries: Mapping[str, Mapping[str, Summary]]) -> Sequence[str]:
    """Give the answer of the primary statistics; where there are none, what the means over the folds come to."""
    primary = next((own.sentences for own in parts.first if own.sentences), ())
    return primary[:1] or verdict(summaries, context.metric, higher_is_better=context.higher_is_better)


def _contents(context: ReportContext, parts: Parts, there: Iterable[str]) -> list[tuple[str, str]]:
    """Give the places of the page and their titles, in order."""

    def of(some: Sequence[Part]) -> list[tuple[str, str]]:
        return [(own.key, own.title) for own in some]

    found = [("ranking", f"Ranking by {text.metric_title(context.metric)}"), *of(parts.first), ("folds", "Each fold")]
    if "metrics" in there:
        found.append(("metrics", "All metrics"))
    if "holdout_metrics" in there:
        found.append(("holdout", "Holdout"))
    found += of(parts.middle)
    if "pictures" in there or context.looks:
        found.append(("looks", "Where each backbone looks"))
    return [*found, ("audit", "Images and their audit"), *of(parts.last), ("done", "What was done")]


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


def _count_rows(table: pd.DataFrame) -> list[tuple[str, list[int], int]]:
    return [(str(name), [int(n) for n in row], int(row.sum())) for name, row in table.iterrows()]

"""What the descriptions on MLflow's pages say, as Markdown: the answer first, for a page shows the first lines only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tasks.comparison.pages.markdown import escaped, fitted, markdown_table
from tasks.comparison.results import BackboneResult
from tasks.comparison.section import Section, Table
from tasks.comparison.text import interval, mean_and_spread, metric_title, number
from tasks.comparison.verdict import verdict
from tasks.evaluation.metrics import higher_is_better
from tasks.tracking.pages import ROOM
from tasks.tracking.views import TRAINING, View, link
from tasks.workers.plan import Plan

MOST_WARNINGS = 6
SHEET = "contact_sheet.png"
RANKING = "ranking"
"""The table of the comparison's parts that ranks the backbones."""


@dataclass(frozen=True)
class Links:
    """Addresses below that of MLflow's pages.

    Attributes
    ----------
    experiment_id, run_id : str
        Of the experiment's run.
    """

    experiment_id: str
    run_id: str

    def run(self, run_id: str) -> str:
        """Give the address of a run's page."""
        return f"{self._run(run_id)}?{TRAINING}"

    def artifact(self, name: str, title: str, run_id: str | None = None) -> str:
        """Give a link to where an artifact is shown; of the experiment's run unless another one is named."""
        return f"[{title}]({self._run(run_id or self.run_id)}/artifacts/{name}?{TRAINING})"

    def picture(self, name: str, title: str, run_id: str | None = None) -> str:
        """Give a picture that is an artifact."""
        return f"![{title}](get-artifact?path={name}&run_uuid={run_id or self.run_id})"

    def _run(self, run_id: str) -> str:
        return f"#/experiments/{self.experiment_id}/runs/{run_id}"


def experiment_note(
    plan: Plan,
    results: Mapping[str, BackboneResult],
    order: Sequence[str],
    sections: Sequence[Section],
    warnings: Sequence[str],
    files: Mapping[str, str],
    links: Links,
) -> str:
    """Give the description of an experiment's run.

    Parameters
    ----------
    plan, results, order
        What was done, what it gave, and the ranking.
    sections
        The parts of the comparison.
    warnings
        What a reader must know before believing a figure.
    files : mapping of str to str
        Artifacts that are linked, by the words of the link.
    links
        Addresses of this experiment.
    """
    answers = _answers(plan, results, sections)
    linked = [links.artifact(name, title) for title, name in files.items()]
    linked += [f"[{name}]({links.run(results[name].run_id)})" for name in order]
    return fitted(
        [
            f"**{escaped(answers[0])}**",
            markdown_table(ranking_table(plan, results, order, sections)),
            "\n".join(f"- {escaped(text)}" for text in answers[1:]),
            _warned(warnings),
            " · ".join(linked),
            plan.experiment.description,
            links.picture(SHEET, "the same images as every backbone sees them") if SHEET in files.values() else "",
        ],
        ROOM,
    )


def backbone_note(
    plan: Plan,
    result: BackboneResult,
    order: Sequence[str],
    sections: Sequence[Section],
    files: Mapping[str, str],
    links: Links,
) -> str:
    """Give the description of a backbone's run; arguments as of `experiment_note`, `files` being the backbone's own."""
    metric, name = plan.experiment.metric, result.name
    own = result.summaries.get(metric)
    figures = f"{metric_title(metric)} {mean_and_spread(own)} over folds, 95\u00a0% interval {interval(own)}"
    place = f"Ranked {order.index(name) + 1} of {len(order)}" if len(order) > 1 else "The only backbone"
    linked = [f"[experiment]({links.run(links.run_id)})", links.artifact("report.html", "report")]
    linked += [links.artifact(file, title, result.run_id) for title, file in files.items()]
    return fitted(
        [
            f"**{escaped(name)}: {escaped(figures)}.** {place}; {_done(plan, result)}.",
            markdown_table(_figures(result)),
            *(markdown_table(table) for part in sections if (table := _of_part(part, name)) is not None),
            " · ".join(linked),
            links.picture(SHEET, "where it looks", result.run_id) if SHEET in files.values() else "",
        ],
        ROOM,
    )


def overview_note(plan: Plan, latest: str, views: Iterable[View], links: Links) -> str:
    """Give the description of the whole MLflow experiment, above its runs.

    Parameters
    ----------
    plan
        What was done last.
    latest : str
        The description of the newest experiment's run; empty while it has none.
    views
        The saved views.
    links
        Addresses of the newest experiment.
    """
    told = " · ".join(f"[{view.name}]({link(links.experiment_id, view)})" for view in views)
    charts = " · ".join(
        f"[{view.name}]({link(links.experiment_id, view, charts=True)})" for view in views if view.charts
    )
    lead, _, rest = latest.partition("\n\n")
    return fitted(
        [
            lead or escaped(plan.experiment.description or plan.experiment.name),
            f"Views: {told}",
            f"Charts: {charts}",
            f"The newest experiment is [this run]({links.run(links.run_id)}).",
            rest,
        ],
        ROOM,
    )


def ranking_table(
    plan: Plan, results: Mapping[str, BackboneResult], order: Sequence[str], sections: Sequence[Section]
) -> Table:
    """Give the ranking that the comparison's parts have made, or else the means over folds."""
    for table in (table for part in sections for table in part.tables):
        if table.name == RANKING:
            return table
    metric = plan.experiment.metric
    own = [results[name].summaries.get(metric) for name in order]
    frame = pd.DataFrame(
        {
            "backbone": list(order),
            "mean": [mean_and_spread(summary) for summary in own],
            "interval": [interval(summary) for summary in own],
            "folds": [f"{len(results[name].finished)}/{plan.n_folds}" for name in order],
        }
    )
    title = f"{metric_title(metric)}, mean ± SD over folds"
    heads = {"backbone": "backbone", "mean": title, "interval": "95\u00a0% interval", "folds": "folds"}
    return Table(RANKING, f"The backbones by {metric_title(metric)}.", frame, heads)


def _answers(plan: Plan, results: Mapping[str, BackboneResult], sections: Sequence[Section]) -> list[str]:
    """Give the first sentence of each part; the one that ranks the backbones first."""
    first = [part.sentences[0] for part in sections if part.sentences]
    if any(table.name == RANKING for part in sections for table in part.tables):
        return first
    metric = plan.experiment.metric
    summaries = {name: own.summaries for name, own in results.items() if own.finished}
    told = verdict(summaries, metric, higher_is_better=higher_is_better(metric))
    return [" ".join(dict.fromkeys([told[0], told[-1]])), *first]


def _warned(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    shown = [f"- {escaped(text)}" for text in warnings[:MOST_WARNINGS]]
    left = len(warnings) - MOST_WARNINGS
    more = [f"- {left} more in the report"] if left > 0 else []
    return "\n".join(["**Before you rely on this**", "", *shown, *more])


def _done(plan: Plan, result: BackboneResult) -> str:
    return f"{len(result.finished)} of {plan.n_folds} folds are done"


def _figures(result: BackboneResult) -> Table:
    own = {name: summary for name, summary in result.summaries.items() if "/" not in name}
    frame = pd.DataFrame(
        {
            "metric": [metric_title(name) for name in own],
            "mean": [mean_and_spread(summary) for summary in own.values()],
            "interval": [interval(summary) for summary in own.values()],
            "pooled": [number(result.pooled.get(name)) for name in own],
        }
    )
    heads = {
        "metric": "metric",
        "mean": "mean ± SD over folds",
        "interval": "95\u00a0% interval",
        "pooled": "all out-of-fold predictions",
    }
    return Table("figures", "The backbone's figures.", frame, heads, longest=20)


def _of_part(part: Section, backbone: str) -> Table | None:
    """Give what a part has measured of a backbone, in its own words where it has a table with a row a backbone."""
    for table in part.tables:
        if part.key in _TOLD and "backbone" in table.frame:
            row = table.frame[table.frame["backbone"] == backbone]
            if len(row) == 1:
                titles = {name: title for name, title in table.titles.items() if name != "backbone"}
                return Table(table.name, table.caption, row, titles, table.formats)
    return None


_TOLD = ("calibration", "cost")
"""Parts whose row of a backbone stands in its description."""

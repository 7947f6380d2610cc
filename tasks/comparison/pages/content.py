"""Fills MLflow's pages of an experiment: the menu of views, and what the descriptions of its runs say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tasks.comparison.backbone import Fetch
from tasks.comparison.errors.mistake_pictures import NAME as MISTAKES
from tasks.comparison.errors.mistake_pictures import mistakes_table
from tasks.comparison.pages.notes import SHEET, Links, backbone_note, experiment_note, overview_note
from tasks.comparison.results import BackboneResult
from tasks.comparison.section import Section
from tasks.evaluation.metrics import higher_is_better
from tasks.tracking.pages import Pages
from tasks.tracking.records import GridPicture, Record
from tasks.tracking.views import View, views_of
from tasks.workers.plan import Plan

EXPERIMENT_FILES = {
    "report": "report.html",
    "where each backbone looks": "explanations.html",
    "audit of the data": "audit.html",
    "all figures": "comparison.csv",
    "contact sheet": SHEET,
}
BACKBONE_FILES = {
    "contact sheet": SHEET,
    "surest mistakes": f"{MISTAKES}.json",
    "predictions": "oof_predictions.parquet",
    "plots": "plots",
}
"""Artifacts that descriptions link, as far as a run has them, by the words of the link."""


def open_pages(plan: Plan, pages: Pages, run_id: str) -> None:
    """Offer the views; the experiment's description is begun with them, but an earlier answer stays until the next."""
    pages.offer(_views(plan))
    pages.describe(overview_note(plan, "", _views(plan), Links(pages.experiment_id, run_id)), first=True)


def backbone_pictures(plan: Plan, result: BackboneResult, sheets: Sequence[Path], fetch: Fetch) -> Iterator[Record]:
    """Give a backbone's contact sheet for image grids and its surest mistakes as a table, as far as there are any."""
    yield from (GridPicture(sheet.stem, sheet) for sheet in sheets if sheet.name == SHEET)
    if (table := mistakes_table(plan, result, fetch)) is not None:
        yield table


def close_pages(
    plan: Plan,
    results: Mapping[str, BackboneResult],
    order: Sequence[str],
    sections: Sequence[Section],
    warnings: Sequence[str],
    pages: Pages,
    run_id: str,
) -> None:
    """Describe the experiment's run, its backbones' runs, and the MLflow experiment as a whole.

    Parameters
    ----------
    plan, results, order, sections, warnings
        As of `experiment_note`.
    pages : Pages
        Writes the descriptions.
    run_id : str
        The experiment's run.
    """
    links = Links(pages.experiment_id, run_id)
    for name in order:
        own = results[name]
        files = _there(BACKBONE_FILES, pages.artifacts(own.run_id))
        pages.describe_run(own.run_id, backbone_note(plan, own, order, sections, files, links))
    files = _there(EXPERIMENT_FILES, pages.artifacts(run_id))
    told = experiment_note(plan, results, order, sections, warnings, files, links)
    pages.describe_run(run_id, told)
    pages.describe(overview_note(plan, told, _views(plan), links))


def _views(plan: Plan) -> list[View]:
    metric = plan.experiment.metric
    return views_of(metric, higher_is_better=higher_is_better(metric))


def _there(files: Mapping[str, str], present: set[str]) -> dict[str, str]:
    return {title: name for title, name in files.items() if name in present}

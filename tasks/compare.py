"""Prefect tasks that bring fold runs together: each backbone, then all of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.backbones.registry import get
from tasks.comparison.backbone import Fetch, backbone_content, backbone_params, gather
from tasks.comparison.champion.crowned import crowned_of
from tasks.comparison.colours import run_colour
from tasks.comparison.costs import Cost
from tasks.comparison.evidence import Evidence
from tasks.comparison.experiment import closing_content, opening_content, ranking, warnings_about
from tasks.comparison.inputs import all_images
from tasks.comparison.looks.content import Seen, backbone_looks, experiment_looks, notes_of, see
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.gallery_rows import write_gallery
from tasks.comparison.looks.looking import Looks, look
from tasks.comparison.looks.opened import gone_told
from tasks.comparison.looks.pictures import (
    write_backbone_sheets,
    write_comparison_sheet,
    write_mean_maps,
    write_shared_mistakes,
)
from tasks.comparison.pages.content import backbone_pictures, close_pages, open_pages
from tasks.comparison.report.drawn import draw_figures
from tasks.comparison.report.experiment_report import report
from tasks.comparison.report.section_files import section_content
from tasks.comparison.results import BackboneResult, ExperimentResult, FoldResult
from tasks.comparison.section import Section
from tasks.comparison.sections import sections_of
from tasks.comparison.smaller_batches import smaller_batches_told
from tasks.comparison.standings.recorded import comparison_of
from tasks.dataset.audit.audit import Audit
from tasks.fold import Session
from tasks.survey import Survey, backbones_of, fetcher, reused_folds
from tasks.tracking.ledger import Ledger
from tasks.tracking.records import File, Metrics
from tasks.workers.plan import Plan

GALLERY = "explanations.html"
"""The experiment's artifact where people look through the explained images."""


def open_runs(session: Session, found: Survey, audited: Audit) -> None:
    """Start, or go on with, the experiment's run and its backbones' runs in MLflow."""
    plan, ledger = session.plan, session.ledger
    tags = {"foldcam.fingerprint": plan.fingerprint, "foldcam.data_digest": plan.manifest.digest}
    run_id = ledger.open_experiment(found.known, plan.experiment.name, tags)
    if not ledger.resumed:
        with tempfile.TemporaryDirectory(prefix="foldcam-open-") as scratch:
            page, findings = audited.to_html(), json.dumps(audited.to_json(), indent=1, ensure_ascii=False)
            ledger.writer(run_id).write(opening_content(plan, Path(scratch), page, findings))
    open_pages(plan, ledger.pages, run_id)
    for backbone in backbones_of(plan, {*reused_folds(plan, found), *found.missing}):
        fingerprint = plan.backbone_fingerprint(backbone)
        backbone_run, new = ledger.open_backbone(backbone, fingerprint, plan.manifest.digest)
        if new:
            ledger.writer(backbone_run).write([backbone_params(plan, backbone), all_images(plan), run_colour(backbone)])


def by_backbone(plan: Plan, folds: list[FoldResult]) -> dict[str, list[FoldResult]]:
    """Give the fold runs of each backbone that has any, in order."""
    groups: dict[str, list[FoldResult]] = {}
    for backbone in plan.backbones:
        own = sorted((fold for fold in folds if fold.backbone == backbone), key=lambda fold: fold.fold)
        if own:
            groups[backbone] = own
    return groups


class Compared(NamedTuple):
    """A backbone's figures over its folds, and where it looks."""

    result: BackboneResult
    looks: Looks


@task(name="compare-backbone", task_run_name="compare folds of {backbone}", cache_policy=NO_CACHE, persist_result=False)
def compare_backbone(session: Session, backbone: str, folds: list[FoldResult]) -> Compared:
    """Pool a backbone's out-of-fold predictions, log its figures and pictures, and end its run."""
    plan, ledger = session.plan, session.ledger
    fetch = fetcher(plan, ledger)
    run_id = ledger.backbone_run(backbone)
    result = gather(plan, backbone, run_id, folds, fetch)
    looks = look(plan, FoldExplanations.of(result, fetch), seconds_share=_measured_share(ledger, result))
    with tempfile.TemporaryDirectory(prefix="foldcam-backbone-") as scratch:
        folder = Path(scratch)
        writer = ledger.writer(run_id)
        writer.write(backbone_content(plan, result, folder))
        writer.write(backbone_looks(looks, folder))
        sheets = write_backbone_sheets(plan, result, get(backbone).title, looks.means, fetch, folder)
        writer.write([File(sheet) for sheet in sheets])
        writer.write(backbone_pictures(plan, result, sheets, fetch))
    if len(result.finished) == plan.n_folds:
        ledger.end(run_id, "completed")
    else:
        missing = f"{len(result.finished)} of {plan.n_folds} folds are done"
        ledger.end(run_id, "partial" if result.finished else "failed", missing)
    return Compared(result, looks)


class Told(NamedTuple):
    """What a comparison came to: the ranking, what it went by, its parts, and what must be known before all."""

    order: list[str]
    evidence: Evidence
    sections: list[Section]
    warnings: list[str]


@task(name="compare", cache_policy=NO_CACHE, persist_result=False)
def compare_backbones(
    session: Session, compared: Mapping[str, Compared], costs: Mapping[str, Cost], seconds: float
) -> Told:
    """Rank the backbones and log the comparison, the pages and the pictures."""
    plan, ledger = session.plan, session.ledger
    results = {name: own.result for name, own in compared.items()}
    order = ranking(plan, results)
    fetch = fetcher(plan, ledger)
    seen, logged = _seen(session, compared, order, fetch)
    smaller = smaller_batches_told(plan, results, ledger.runs.smaller_batches())
    told_first = [*gone_told(plan), *warnings_about(plan), *smaller]
    evidence = Evidence(plan, {name: results[name] for name in order}, fetch, costs)
    sections = sections_of(evidence)
    drawn = draw_figures(sections, plan.experiment.comparison.figures)
    for name in order:
        own = [Metrics(values) for part in sections if (values := part.backbone_metrics.get(name))]
        ledger.writer(results[name].run_id).write(own)
    with tempfile.TemporaryDirectory(prefix="foldcam-compare-") as scratch:
        folder = Path(scratch)
        pictures = _pictures(plan, results, order, seen, fetch, folder)
        has_gallery = write_gallery(folder / GALLERY, plan, logged, seen.looks)
        page = report(
            plan,
            results,
            seen,
            pictures,
            sections,
            drawn,
            audit=evidence.fetch(ledger.experiment_run_id, "audit.json"),
            has_gallery=has_gallery,
            warnings=told_first,
            seconds=seconds,
            tracking_uri=ledger.tracking_uri,
            run_id=ledger.experiment_run_id,
        )
        writer = ledger.writer(ledger.experiment_run_id)
        writer.write(closing_content(plan, results, order, page, folder))
        writer.write(experiment_looks(seen, folder))
        writer.write(section_content(sections, drawn, _inside(folder / "sections")))
        writer.write(File(path) for path in (*pictures.values(), *([folder / GALLERY] if has_gallery else [])))
    warnings = [*told_first, *seen.warnings, *(found.message for part in sections for found in part.findings)]
    close_pages(plan, results, order, sections, warnings, ledger.pages, ledger.experiment_run_id)
    return Told(order, evidence, sections, warnings)


def _inside(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _seen(
    session: Session, compared: Mapping[str, Compared], order: list[str], fetch: Fetch
) -> tuple[Seen, dict[str, FoldExplanations]]:
    logged = {name: FoldExplanations.of(compared[name].result, fetch) for name in order}
    looks = {name: compared[name].looks for name in order}
    return see(session.plan, looks, logged, {name: compared[name].result.seconds for name in order}), logged


def _pictures(
    plan: Plan, results: Mapping[str, BackboneResult], order: list[str], seen: Seen, fetch: Fetch, folder: Path
) -> dict[str, Path]:
    """Write the experiment's pictures; give the files by their captions in the report."""
    sheet, means, mistakes = (folder / f"{name}.png" for name in ("contact_sheet", "mean_maps", "shared_mistakes"))
    found: dict[str, Path] = {}
    if write_comparison_sheet(plan, results, order, fetch, sheet):
        found["The same images as every backbone sees them"] = sheet
    if write_shared_mistakes(plan, results, order, fetch, mistakes):
        found["The images that most backbones get wrong, the surest mistakes first"] = mistakes
    first = str(plan.experiment.explanation.methods[0])
    by_backbone = {name: own.means[first] for name, own in seen.looks.items() if first in own.means}
    if write_mean_maps(plan, by_backbone, means):
        found["The mean map of each class, of right and of wrong predictions"] = means
    return found


def _measured_share(ledger: Ledger, result: BackboneResult) -> float | None:
    """Give the share of a backbone's fold runs' time that the measures of its maps took; None where it is unknown."""
    known = [
        (fold.seconds, share)
        for fold in result.finished
        if fold.run_id is not None
        and fold.seconds
        and (share := ledger.client.get_run(fold.run_id).data.metrics.get("explain/seconds_share")) is not None
    ]
    total = sum(seconds for seconds, _ in known)
    return sum(seconds * share for seconds, share in known) / total if total else None


def conclude(
    session: Session,
    found: Survey,
    results: Mapping[str, BackboneResult],
    order: list[str],
    seconds: Mapping[str, float],
) -> ExperimentResult:
    """End the experiment's run truthfully and give its result."""
    plan, ledger = session.plan, session.ledger
    run_id = ledger.experiment_run_id
    failed = [fold for own in results.values() for fold in own.folds if fold.status == "failed"]
    finished = sum(len(own.finished) for own in results.values())
    whole = finished == len(plan.fingerprints)
    reason = "; ".join(f"{fold.backbone}/{fold.fold}: {fold.error}" for fold in failed)
    if not whole and not reason:
        reason = f"{finished} of {len(plan.fingerprints)} fold runs are done; the others were not asked for"
    ledger.writer(run_id).write([Metrics({f"seconds/{step.replace(' ', '_')}": s for step, s in seconds.items()})])
    ledger.end(run_id, "completed" if whole else "partial" if finished else "failed", reason)
    asked = [cell for cell in found.wanted if cell in {(fold.backbone, fold.fold) for fold in failed}]
    fetch = fetcher(plan, ledger)
    return ExperimentResult(
        experiment=plan.experiment.name,
        experiment_run_id=run_id,
        status="completed" if not asked else "partial" if finished else "failed",
        data_digest=plan.manifest.digest,
        metric=plan.experiment.metric,
        backbones=results,
        ranking=order,
        report=str(fetch(run_id, "report.html")),
        seconds=seconds,
        tracking_uri=ledger.tracking_uri,
        champion=crowned_of(run_id, fetch),
        notes=notes_of(run_id, fetch),
        comparison=comparison_of(run_id, fetch),
    )

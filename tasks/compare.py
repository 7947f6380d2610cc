"""Prefect tasks that bring fold runs together: each backbone, then all of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.backbones.registry import get
from tasks.comparison.backbone import backbone_content, backbone_params, gather
from tasks.comparison.experiment import closing_content, opening_content, ranking, report, warnings_about
from tasks.comparison.pictures import write_backbone_sheet, write_comparison_sheet
from tasks.comparison.results import BackboneResult, ExperimentResult, FoldResult
from tasks.dataset.audit.audit import Audit
from tasks.fold import Session
from tasks.survey import Survey, backbones_of, fetcher, reused_folds
from tasks.tracking.records import File, Metrics
from tasks.workers.plan import Plan, combined


def open_runs(session: Session, found: Survey, audited: Audit) -> None:
    """Start, or go on with, the experiment's run and its backbones' runs in MLflow."""
    plan, ledger = session.plan, session.ledger
    tags = {"foldcam.fingerprint": plan.fingerprint, "foldcam.data_digest": plan.manifest.digest}
    run_id = ledger.open_experiment(found.known, plan.experiment.name, tags)
    if not ledger.resumed:
        with tempfile.TemporaryDirectory(prefix="foldcam-open-") as scratch:
            page, findings = audited.to_html(), json.dumps(audited.to_json(), indent=1, ensure_ascii=False)
            ledger.writer(run_id).write(opening_content(plan, Path(scratch), page, findings))
    for backbone in backbones_of(plan, {*reused_folds(plan, found), *found.missing}):
        own = [plan.fingerprints[backbone, fold] for fold in range(plan.n_folds)]
        backbone_run, new = ledger.open_backbone(backbone, combined(own), plan.manifest.digest)
        if new:
            ledger.writer(backbone_run).write([backbone_params(plan, backbone)])


def by_backbone(plan: Plan, folds: list[FoldResult]) -> dict[str, list[FoldResult]]:
    """Give the fold runs of each backbone that has any, in order."""
    groups: dict[str, list[FoldResult]] = {}
    for backbone in plan.backbones:
        own = sorted((fold for fold in folds if fold.backbone == backbone), key=lambda fold: fold.fold)
        if own:
            groups[backbone] = own
    return groups


@task(name="compare-backbone", task_run_name="compare folds of {backbone}", cache_policy=NO_CACHE, persist_result=False)
def compare_backbone(session: Session, backbone: str, folds: list[FoldResult]) -> BackboneResult:
    """Pool a backbone's out-of-fold predictions, log its figures and pictures, and end its run."""
    plan, ledger = session.plan, session.ledger
    fetch = fetcher(plan, ledger)
    run_id = ledger.backbone_run(backbone)
    result = gather(plan, backbone, run_id, folds, fetch)
    with tempfile.TemporaryDirectory(prefix="foldcam-backbone-") as scratch:
        folder = Path(scratch)
        writer = ledger.writer(run_id)
        writer.write(backbone_content(plan, result, folder))
        sheet = folder / "contact_sheet.png"
        if write_backbone_sheet(plan, result, get(backbone).title, fetch, sheet):
            writer.write([File(sheet)])
    if len(result.finished) == plan.n_folds:
        ledger.end(run_id, "completed")
    else:
        missing = f"{len(result.finished)} of {plan.n_folds} folds are done"
        ledger.end(run_id, "partial" if result.finished else "failed", missing)
    return result


@task(name="compare", cache_policy=NO_CACHE, persist_result=False)
def compare_backbones(session: Session, results: Mapping[str, BackboneResult], seconds: float) -> list[str]:
    """Rank the backbones and log the comparison, the sheet and the report; gives the ranking."""
    plan, ledger = session.plan, session.ledger
    order = ranking(plan, results)
    with tempfile.TemporaryDirectory(prefix="foldcam-compare-") as scratch:
        folder = Path(scratch)
        sheet: Path | None = folder / "contact_sheet.png"
        if not write_comparison_sheet(plan, results, order, fetcher(plan, ledger), folder / "contact_sheet.png"):
            sheet = None
        page = report(
            plan,
            results,
            sheet,
            warnings=warnings_about(plan),
            seconds=seconds,
            tracking_uri=ledger.tracking_uri,
            run_id=ledger.experiment_run_id,
        )
        writer = ledger.writer(ledger.experiment_run_id)
        writer.write(closing_content(plan, results, order, page, sheet, folder))
    return order


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
    return ExperimentResult(
        experiment=plan.experiment.name,
        experiment_run_id=run_id,
        status="completed" if not asked else "partial" if finished else "failed",
        data_digest=plan.manifest.digest,
        metric=plan.experiment.metric,
        backbones=results,
        ranking=order,
        report=str(fetcher(plan, ledger)(run_id, "report.html")),
        seconds=seconds,
        tracking_uri=ledger.tracking_uri,
    )

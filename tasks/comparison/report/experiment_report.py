"""What the experiment's report says, brought together from plan, results and record."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tasks.backbones.registry import get
from tasks.comparison.experiment import settings_text
from tasks.comparison.looks.content import Seen
from tasks.comparison.looks.told import look_rows
from tasks.comparison.report.context import AuditRow, BackboneReport, Done, FoldReport, ReportContext, Sheet
from tasks.comparison.report.drawn import Drawn
from tasks.comparison.report.page import report_html
from tasks.comparison.results import BackboneResult
from tasks.comparison.section import Section
from tasks.comparison.text import duration
from tasks.dataset.audit.audit import class_counts
from tasks.dataset.audit.findings import CODES
from tasks.evaluation.metrics import higher_is_better, metric_range
from tasks.workers.machine import machine
from tasks.workers.plan import Plan

COMMAND = "foldcam run experiment.yaml"

PACKAGES = (
    "foldcam",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pillow",
    "matplotlib",
    "mlflow",
    "prefect",
)
"""What decides the figures, and what recorded them."""


def report(
    plan: Plan,
    results: Mapping[str, BackboneResult],
    seen: Seen,
    pictures: Mapping[str, Path],
    sections: Sequence[Section],
    drawn: Drawn,
    *,
    audit: Path,
    has_gallery: bool,
    warnings: Sequence[str],
    seconds: float,
    tracking_uri: str,
    run_id: str,
) -> str:
    """Give the page `report.html`.

    Parameters
    ----------
    plan, results
        What was done, and what it gave by backbone.
    seen
        Where the backbones look.
    pictures : mapping of str to Path
        PNG files by their captions.
    sections, drawn
        The parts of the comparison, and the files of their figures.
    audit : Path
        The experiment run's `audit.json`.
    has_gallery : bool
        Whether there is `explanations.html`.
    warnings
        What a reader must know beside what `seen` says.
    seconds, tracking_uri, run_id
        As in `ReportContext`; user and password of the address are left out.
    """
    metric = plan.experiment.metric
    in_folds = plan.fold_of_row >= 0
    counts = class_counts(plan.manifest, plan.fold_of_row)
    return report_html(
        ReportContext(
            name=plan.experiment.name,
            description=plan.experiment.description,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=version("foldcam"),
            data_digest=plan.manifest.digest,
            metric=metric,
            higher_is_better=higher_is_better(metric),
            metric_limits=metric_range(metric, len(plan.manifest.classes)),
            n_images=int(in_folds.sum()),
            n_folds=plan.n_folds,
            n_repeats=plan.n_repeats,
            kind=plan.manifest.targets.kind,
            n_holdout=int((~in_folds).sum()),
            backbones=[_backbone_report(plan, own) for own in results.values()],
            class_counts=counts.rename(columns=lambda part: part if part == "holdout" else f"fold {part}"),
            settings=settings_text(plan),
            sheets=[Sheet(caption, path.read_bytes()) for caption, path in pictures.items()],
            looks=look_rows(seen.looks, seen.between),
            sections=sections,
            drawn=drawn,
            audit=_audit(audit),
            done=_done(plan, results),
            has_gallery=has_gallery,
            warnings=[*warnings, *seen.warnings, *_told(sections)],
            chance=_chance(plan, metric),
            seconds=seconds,
            tracking_uri=re.sub(r"//[^/@]*@", "//", tracking_uri),
            experiment_run_id=run_id,
        )
    )


def _told(sections: Sequence[Section]) -> list[str]:
    """Give what the parts warn of, each with what to do about it; advice that several share is given once."""
    found = [finding for part in sections for finding in part.findings]
    return [*(finding.message for finding in found), *dict.fromkeys(f.advice for f in found if f.advice)]


def _audit(file: Path) -> list[AuditRow] | None:
    try:
        findings = json.loads(file.read_text(encoding="utf-8"))["findings"]
    except (OSError, ValueError, KeyError):  # the record of an earlier version, or one that somebody has cut down
        return None
    return [
        AuditRow(found["severity"], found["code"], CODES.get(found["code"], ""), found["message"], found["n_images"])
        for found in findings
    ]


def _done(plan: Plan, results: Mapping[str, BackboneResult]) -> Done:
    trained = sum(own.seconds for own in results.values())
    facts = {
        "seed": str(plan.experiment.seed),
        "fold runs": f"{sum(len(own.finished) for own in results.values())} of {len(plan.fingerprints)}, "
        f"{duration(trained)} of work in all",
        "compared on": f"{machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}",
    }
    return Done(COMMAND, facts, {name: found for name in PACKAGES if (found := _version(name))})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _chance(plan: Plan, metric: str) -> float | None:
    if metric == "balanced_accuracy":
        return 1 / len(plan.manifest.classes)
    return {"roc_auc": 0.5, "cohen_kappa": 0.0, "matthews_corrcoef": 0.0, "quadratic_kappa": 0.0}.get(metric)


def _backbone_report(plan: Plan, result: BackboneResult) -> BackboneReport:
    metric = plan.experiment.metric
    model = plan.experiment.model_of(result.name)
    by_fold = {fold.fold: fold for fold in result.folds}
    folds = []
    for number in range(plan.n_folds):
        fold = by_fold.get(number)
        if fold is None:
            folds.append(FoldReport(number, "missing"))
        else:
            folds.append(FoldReport(number, fold.status, fold.metrics.get(metric), fold.run_id, fold.error or ""))
    weights = "random weights" if model.weights == "none" else f"weights {model.weights}"
    frozen = "trained whole" if model.freeze == "none" else f"frozen up to {model.freeze}"
    return BackboneReport(
        name=result.name,
        title=get(result.name).title,
        summaries=result.summaries,
        folds=folds,
        n_images=len(result.out_of_fold),
        start=f"{weights}, {frozen}",
        holdout=result.holdout,
        seconds=result.seconds,
        run_id=result.run_id,
    )

"""The whole experiment: comparison table, report page, records of the experiment's run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import yaml

from tasks.backbones.registry import get
from tasks.comparison.looks_content import Seen
from tasks.comparison.looks_told import look_rows
from tasks.comparison.ranking import comparison_table, rank
from tasks.comparison.report import BackboneReport, FoldReport, ReportContext, Sheet, report_html
from tasks.comparison.results import BackboneResult
from tasks.comparison.section import Section
from tasks.dataset.audit.audit import class_counts
from tasks.dataset.audit.let_through import leak_warnings
from tasks.dataset.sources.mirror import address_of
from tasks.evaluation.metrics import higher_is_better, metric_range
from tasks.tracking.levels import flattened
from tasks.tracking.records import Dataset, File, Metrics, Params, Record, Tags, Text
from tasks.workers.plan import Plan


def ranking(plan: Plan, results: Mapping[str, BackboneResult]) -> list[str]:
    """Give the names of the backbones that have results, best first."""
    metric = plan.experiment.metric
    finished = {name: own.summaries for name, own in results.items() if own.finished}
    return rank(finished, metric, higher_is_better=higher_is_better(metric))


def opening_content(plan: Plan, folder: Path, audit_html: str, audit_json: str) -> Iterator[Record]:
    """Give what is known before any training: settings, images, folds, audit."""
    plan.manifest.write(folder / "manifest.parquet")
    (folder / "experiment.yaml").write_text(settings_text(plan), encoding="utf-8")
    yield Params({"n_images": len(plan.manifest.table), "n_folds": plan.n_folds, **_settings(plan)})
    yield Dataset(
        plan.manifest.table[["path", "label", "sha256", "width", "height"]],
        name=plan.manifest.root.name or plan.experiment.name,
        digest=plan.manifest.digest,
        source=address_of(plan.manifest.root),
    )
    yield Tags({"mlflow.note.content": plan.experiment.description or f"Experiment {plan.experiment.name}"})
    yield File(folder / "manifest.parquet")
    yield File(folder / "experiment.yaml")
    yield File(plan.folder / "folds.csv")
    yield Text(audit_html, "audit.html")
    yield Text(audit_json, "audit.json")


def closing_content(
    plan: Plan,
    results: Mapping[str, BackboneResult],
    order: Sequence[str],
    report: str,
    folder: Path,
) -> Iterator[Record]:
    """Give what the comparison adds to the experiment's run."""
    for name in order:
        own = results[name]
        values = {f"{name}/{metric}": item.mean for metric, item in own.summaries.items() if item.mean is not None}
        values |= {f"{name}/oof/{metric}": value for metric, value in own.pooled.items()}
        values |= {f"{name}/holdout/{metric}": value for metric, value in own.holdout.items()}
        yield Metrics(values)
    table(plan, results).to_csv(folder / "comparison.csv", index=False)
    yield File(folder / "comparison.csv")
    yield Text(report, "report.html")
    if order:
        yield Tags({"best_backbone": order[0]})


def table(plan: Plan, results: Mapping[str, BackboneResult]) -> pd.DataFrame:
    """Give the comparison table of the backbones that have results, best first."""
    metric = plan.experiment.metric
    finished = {name: own for name, own in results.items() if own.finished}
    return comparison_table(
        {name: own.summaries for name, own in finished.items()},
        metric,
        higher_is_better=higher_is_better(metric),
        folds_completed={name: len(own.finished) for name, own in finished.items()},
        seconds={name: own.seconds for name, own in finished.items()},
    )


def report(
    plan: Plan,
    results: Mapping[str, BackboneResult],
    seen: Seen,
    pictures: Mapping[str, Path],
    sections: Sequence[Section],
    *,
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
    sections
        The parts of the comparison.
    has_gallery : bool
        Whether there is `explanations.html`.
    warnings
        What a reader must know beside what `seen` says.
    seconds, tracking_uri, run_id
        As in `ReportContext`.
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
            has_gallery=has_gallery,
            warnings=[*warnings, *seen.warnings, *(found.message for part in sections for found in part.findings)],
            chance=_chance(plan, metric),
            seconds=seconds,
            tracking_uri=tracking_uri,
            experiment_run_id=run_id,
        )
    )


def warnings_about(plan: Plan) -> list[str]:
    """Give what a reader must know before believing a figure."""
    found = model_warnings(plan)
    if len(plan.manifest.rejected):
        found.append(f"{len(plan.manifest.rejected)} images that cannot be read or have no label were left out.")
    return found + leak_warnings(plan.manifest, plan.folds_of_row, plan.experiment.data)


def model_warnings(plan: Plan) -> list[str]:
    """Give what a reader must know of the backbones; of the images, the audit says it too."""
    random_bases = [
        name
        for name in plan.backbones
        if plan.experiment.model_of(name).weights == "none" and plan.experiment.model_of(name).freeze != "none"
    ]
    if not random_bases:
        return []
    return [
        f"{', '.join(random_bases)}: frozen layers with random weights (weights: none), so only the head was "
        "trained, on random features. The figures say nothing about these backbones as people use them."
    ]


def settings_text(plan: Plan) -> str:
    """Give the experiment file with every default spelt out."""
    return yaml.safe_dump(plan.experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _settings(plan: Plan) -> dict[str, object]:
    return flattened(plan.experiment.model_dump(mode="json")) | {"evaluation.metric": plan.experiment.metric}


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

"""The whole experiment: comparison table, report page, records of the experiment's run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from tasks.comparison.inputs import all_images
from tasks.comparison.ranking import comparison_table, rank
from tasks.comparison.results import BackboneResult
from tasks.dataset.audit.let_through import leak_warnings
from tasks.dataset.corrected_manifest import FILE as CORRECTIONS
from tasks.dataset.corrected_manifest import corrections_table, corrections_told
from tasks.dataset.spreadsheets import inert
from tasks.evaluation.metrics import higher_is_better
from tasks.tracking.levels import flattened
from tasks.tracking.records import File, Metrics, Params, Record, Tags, Text
from tasks.tracking.views import best_metrics
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
    yield all_images(plan)
    yield File(folder / "manifest.parquet")
    yield File(folder / "experiment.yaml")
    yield File(plan.folder / "folds.csv")
    if plan.manifest.corrections:
        inert(corrections_table(plan.manifest.corrections)).to_csv(folder / CORRECTIONS, index=False)
        yield File(folder / CORRECTIONS)
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
    inert(table(plan, results)).to_csv(folder / "comparison.csv", index=False)
    yield File(folder / "comparison.csv")
    yield Text(report, "report.html")
    if order:
        yield Tags({"best_backbone": order[0]})
        yield Metrics(_best(results[order[0]], plan.experiment.metric))


def _best(own: BackboneResult, metric: str) -> dict[str, float]:
    """Give the best backbone's figures under names of their own, so that experiments compare with each other."""
    summary = own.summaries.get(metric)
    over_folds = (summary.mean, summary.ci_low, summary.ci_high) if summary is not None else (None,) * 3
    values = (own.pooled.get(metric), *over_folds)
    return {name: value for name, value in zip(best_metrics(metric), values, strict=True) if value is not None}


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


def warnings_about(plan: Plan) -> list[str]:
    """Give what a reader must know before believing a figure."""
    found = model_warnings(plan)
    if len(plan.manifest.rejected):
        found.append(f"{len(plan.manifest.rejected)} images that cannot be read or have no label were left out.")
    if plan.manifest.corrections:
        found.append(corrections_told(plan.manifest.corrections))
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
    """Give the settings as MLflow compares them: without the description, and what a backbone leaves to all of them."""
    found = plan.experiment.model_dump(mode="json", exclude={"description"})
    found["backbones"] = {
        name: {key: value for key, value in own.items() if value not in (None, {})}
        for name, own in found["backbones"].items()
    }
    return flattened(found) | {"evaluation.metric": plan.experiment.metric}

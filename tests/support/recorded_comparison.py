"""Made evidence put into a real MLflow store, as an experiment's runs would hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from tasks.comparison.evidence import Evidence
from tasks.comparison.standings.section import statistics_section
from tasks.dataset.folds.assignment import write_folds
from tasks.dataset.manifest import DECLARED, NUMBER_COLUMNS, TEXT_COLUMNS
from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.records import File, Metrics, Params, Text


def record(evidence: Evidence, uri: str, name: str, scratch: Path, settings: Mapping[str, object] | None = None) -> str:
    """Log an experiment called `name` with its backbones and fold runs, and give its run's id.

    `settings` are laid over the experiment's flat settings in `experiment.yaml` alone.
    """
    plan = evidence.plan
    experiment = plan.experiment.model_dump(mode="json") | {"name": name} | dict(settings or {})
    ledger = Ledger(uri, name)
    digest = str(abs(hash(tuple(plan.manifest.table["sha256"]))))
    run_id = ledger.open_experiment(Known(None, {}), name, {"foldcam.data_digest": digest})
    scratch.mkdir(parents=True)
    missing = {column: None for column in (*TEXT_COLUMNS, DECLARED) if column not in plan.manifest.table}
    missing |= {column: 8 for column in NUMBER_COLUMNS if column not in plan.manifest.table}
    replace(plan.manifest, table=plan.manifest.table.assign(**missing)).write(scratch / "manifest.parquet")
    write_folds(scratch / "folds.csv", plan.manifest, plan.folds_of_row)
    found = statistics_section(evidence)
    params = Params({"n_folds": plan.n_folds, "evaluation.metric": plan.experiment.metric})
    content = [params, File(scratch / "manifest.parquet"), File(scratch / "folds.csv")]
    content += [Text(yaml.safe_dump(experiment), "experiment.yaml"), Text("<p>the report</p>", "report.html")]
    content += [Text(own.decode(), file) for file, own in (found.files if found else {}).items()]
    ledger.writer(run_id).write(content)
    for backbone, result in evidence.results.items():
        own = ledger.open_backbone(backbone, f"{run_id}/{backbone}", digest)[0]
        values = {f"oof/{metric}": value for metric, value in result.pooled.items()}
        values |= {f"cv/{metric}_mean": item.mean for metric, item in result.summaries.items() if item.mean is not None}
        values |= {"folds_finished": len(result.finished), **(found.backbone_metrics[backbone] if found else {})}
        ledger.writer(own).write([Metrics({key: value for key, value in values.items() if np.isfinite(value)})])
        for fold in result.finished:
            fold_run = ledger.open_fold(backbone, fold.fold, f"{run_id}/{backbone}/{fold.fold}", digest)
            ledger.writer(fold_run).write([File(evidence.fetch(str(fold.run_id), "predictions.parquet"))])
            ledger.end(fold_run, "completed")
        ledger.end(own, "completed")
    ledger.end(run_id, "completed")
    return run_id

"""One backbone's fold runs brought together: figures over folds, out-of-fold predictions, plots, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.comparison.pooling import average_probabilities, pool_out_of_fold, predictions_of
from tasks.comparison.results import BackboneResult, FoldResult
from tasks.comparison.study_e import write_study_e
from tasks.comparison.summary import Summary, summarise_folds
from tasks.dataset.spreadsheets import inert
from tasks.evaluation.metrics import metric_key, metric_range, score
from tasks.tracking.records import File, Folder, Metrics, Params, Record
from tasks.workers.plan import Plan

Fetch = Callable[[str, str], Path]
"""Gives the local path of a run's artifact."""


def gather(plan: Plan, backbone: str, run_id: str, folds: Sequence[FoldResult], fetch: Fetch) -> BackboneResult:
    """Bring a backbone's fold runs together.

    Raises
    ------
    ValueError
        An image of the finished folds has too few out-of-fold predictions, or too many.
    """
    finished = [fold for fold in folds if fold.status != "failed"]
    out_of_fold = read_out_of_fold(plan, finished, fetch)
    holdout = read_holdout(plan, finished, fetch)
    return BackboneResult(
        name=backbone,
        run_id=run_id,
        summaries=summaries(plan, finished),
        folds=tuple(folds),
        read=lambda: out_of_fold,
        pooled=_scored(plan, out_of_fold) if finished else {},
        holdout=_scored(plan, holdout) if len(holdout) else {},
    )


def read_out_of_fold(plan: Plan, finished: Sequence[FoldResult], fetch: Fetch) -> pd.DataFrame:
    """Give the predictions of finished fold runs, one row an image; empty where there is none.

    With repeated folds they are means over the repeats in which the image's fold is finished.

    Raises
    ------
    ValueError
        An image has too few out-of-fold predictions, or too many.
    """
    if not finished:
        return pd.DataFrame()
    tables = [pd.read_parquet(fetch(_run(fold), "predictions.parquet")) for fold in finished]
    expected = np.concatenate([plan.rows[fold.fold].test for fold in finished])
    return pool_out_of_fold(tables, plan.manifest.targets, plan.manifest.table["path"].iloc[expected].tolist())


def read_holdout(plan: Plan, finished: Sequence[FoldResult], fetch: Fetch) -> pd.DataFrame:
    """Give the fold ensemble's predictions for the holdout, one row an image.

    Empty where there is no holdout, and while a fold is missing: the holdout is scored once, by all folds.
    """
    if len(finished) < plan.n_folds or not len(plan.rows[0].holdout):
        return pd.DataFrame()
    tables = [pd.read_parquet(fetch(_run(fold), "holdout_predictions.parquet")) for fold in finished]
    return average_probabilities(tables, plan.manifest.targets)


def summaries(plan: Plan, finished: Sequence[FoldResult]) -> dict[str, Summary]:
    """Give each metric's mean, spread and interval over the finished fold runs, by name, and in the classes' order."""
    place = {metric_key(label): number for number, label in enumerate(plan.manifest.classes)}
    parted = {name.partition("/") for fold in finished for name in fold.metrics}
    names = ["".join(parts) for parts in sorted(parted, key=lambda parts: (parts[0], place.get(parts[2], -1)))]
    by_fold = {fold.fold: fold.metrics for fold in finished}
    order = range(plan.n_folds)
    return summarise_folds(
        {name: [by_fold.get(fold, {}).get(name) for fold in order] for name in names},
        n_train=[len(plan.rows[fold].train) for fold in order],
        n_test=[len(plan.rows[fold].test) for fold in order],
        ranges={name: metric_range(name, len(plan.manifest.classes)) for name in names},
    )


def backbone_content(plan: Plan, result: BackboneResult, folder: Path) -> Iterator[Record]:
    """Write a backbone's tables and plots into `folder` and give the records of its run."""
    from tasks.evaluation.plots import write_plots

    for name, summary in result.summaries.items():
        figures = {
            "mean": summary.mean,
            "std": summary.std,
            "ci_low": summary.ci_low,
            "ci_high": summary.ci_high,
        }
        yield Metrics({f"cv/{name}_{part}": value for part, value in figures.items() if value is not None})
    yield Metrics({f"oof/{name}": value for name, value in result.pooled.items()})
    yield Metrics({f"holdout/{name}": value for name, value in result.holdout.items()})
    yield Metrics({"folds_finished": len(result.finished), "seconds/total": result.seconds})
    inert(pd.DataFrame([fold.to_json() for fold in result.folds])).to_csv(folder / "fold_runs.csv", index=False)
    yield File(folder / "fold_runs.csv")
    if not len(result.out_of_fold):
        return
    result.out_of_fold.to_parquet(folder / "oof_predictions.parquet", index=False)
    yield File(folder / "oof_predictions.parquet")
    targets = plan.manifest.targets
    write_study_e(folder / "report.csv", result.out_of_fold, targets)
    yield File(folder / "report.csv")
    found = predictions_of(result.out_of_fold, targets)
    write_plots(folder / "plots", found.y_true, found.y_prob, targets.classes, kind=targets.kind, y_pred=found.y_pred)
    yield Folder(folder / "plots", "plots")


def backbone_params(plan: Plan, backbone: str) -> Params:
    """Give a backbone's settings as parameters of its run."""
    from tasks.tracking.levels import flattened

    model = plan.experiment.model_of(backbone).model_dump(mode="json")
    training = plan.experiment.training_of(backbone).model_dump(mode="json")
    return Params({"backbone": backbone, **flattened(model, "model."), **flattened(training, "training.")})


def _scored(plan: Plan, table: pd.DataFrame) -> dict[str, float]:
    targets = plan.manifest.targets
    found = predictions_of(table, targets)
    return score(found.y_true, found.y_prob, targets.classes, kind=targets.kind, y_pred=found.y_pred)


def _run(fold: FoldResult) -> str:
    if fold.run_id is None:
        raise ValueError(f"the finished fold run {fold.backbone}/{fold.fold} has no MLflow run")
    return fold.run_id

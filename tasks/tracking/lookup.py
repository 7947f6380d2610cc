"""Finds what the record says of an experiment, without its data or its file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from tasks.config import InputError
from tasks.tracking.intervals import intervals_alone, values_alone
from tasks.tracking.runs import PARENT

PARTS = ("mean", "std", "ci_low", "ci_high")


@dataclass(frozen=True)
class RecordedBackbone:
    """One backbone run as MLflow has it.

    Attributes
    ----------
    run_id, status
        Its run; `completed`, `partial`, `failed` or `started`.
    folds_finished
        How many folds its figures stand on.
    cv : mapping of str to dict
        By metric: `mean`, `std`, `ci_low`, `ci_high`, as far as they are defined.
    oof, holdout : mapping of str to float
        Metrics of the pooled out-of-fold predictions, and of the fold ensemble on the holdout.
    oof_intervals : mapping of str to dict
        By metric of `oof`, `ci_low` and `ci_high`, as far as they were logged.
    """

    run_id: str
    status: str
    folds_finished: int
    cv: Mapping[str, Mapping[str, float]]
    oof: Mapping[str, float]
    holdout: Mapping[str, float]
    oof_intervals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedExperiment:
    """One experiment run as MLflow has it.

    Attributes
    ----------
    name, run_id, status, data_digest
        As logged.
    metric
        What it ranks by.
    n_folds
        Number of folds.
    backbones
        By name.
    """

    name: str
    run_id: str
    status: str
    data_digest: str
    metric: str
    n_folds: int
    backbones: Mapping[str, RecordedBackbone]


def newest_experiment(client: MlflowClient, name: str | None) -> RecordedExperiment:
    """Give the newest experiment run called `name`, the one whose run id `name` is, or the newest of all.

    Raises
    ------
    InputError
        There is none; the names that there are stand in the message. Or the run is not one of an experiment.
    """
    experiments = {str(found.experiment_id): found.name for found in client.search_experiments()}
    chosen = [key for key, known in experiments.items() if name is None or known == name]
    runs = _search(client, chosen, "tags.`foldcam.level` = 'experiment'", limit=1) if chosen else []
    if not runs and name is not None:
        runs = [run for run in _run_called(client, name) if run.info.experiment_id in experiments]
    if not runs:
        with_runs = _search(client, list(experiments), "tags.`foldcam.level` = 'experiment'")
        known = sorted({experiments[run.info.experiment_id] for run in with_runs})
        raise InputError(_nothing_found(name, known))
    run = runs[0]
    below = f"tags.`foldcam.level` = 'backbone' and tags.`{PARENT}` = '{run.info.run_id}'"
    own = reversed(_search(client, [run.info.experiment_id], below))
    return RecordedExperiment(
        name=experiments[run.info.experiment_id],
        run_id=str(run.info.run_id),
        status=run.data.tags.get("foldcam.status", ""),
        data_digest=run.data.tags.get("foldcam.data_digest", ""),
        metric=run.data.params.get("evaluation.metric", "balanced_accuracy"),
        n_folds=int(run.data.params.get("n_folds", 0)),
        backbones={backbone.data.tags["foldcam.backbone"]: _backbone(backbone) for backbone in own},
    )


def _backbone(run: Run) -> RecordedBackbone:
    metrics = run.data.metrics
    cv: dict[str, dict[str, float]] = {}
    for key, value in _below("cv/", metrics).items():
        for part in PARTS:
            if key.endswith(f"_{part}"):
                cv.setdefault(key.removesuffix(f"_{part}"), {})[part] = value
    return RecordedBackbone(
        run_id=str(run.info.run_id),
        status=run.data.tags.get("foldcam.status", ""),
        folds_finished=int(metrics.get("folds_finished", 0)),
        cv=cv,
        oof=values_alone(_below("oof/", metrics)),
        oof_intervals=intervals_alone(_below("oof/", metrics)),
        holdout=_below("holdout/", metrics),
    )


def _run_called(client: MlflowClient, run_id: str) -> list[Run]:
    """Give the experiment run with an id, as the only one of a list; none where there is no such run."""
    if re.fullmatch("[0-9a-f]{32}", run_id) is None:
        return []
    try:
        run = client.get_run(run_id)
    except MlflowException:
        return []
    level = run.data.tags.get("foldcam.level")
    if run.info.lifecycle_stage != "active":
        return []
    if level == "experiment":
        return [run]
    above = run.data.tags.get(PARENT)
    of = f"of level {level!r}; the run above it is {above}" if level and above else "not one of foldcam's"
    raise InputError(f"The MLflow run {run_id} is no experiment's: it is {of}. Give an experiment's name or run id.")


def _below(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}


def _search(client: MlflowClient, experiments: list[str], wanted: str, limit: int = 1000) -> list[Run]:
    return list(
        client.search_runs(
            experiments,
            wanted,
            run_view_type=ViewType.ACTIVE_ONLY,
            max_results=limit,
            order_by=["attributes.start_time DESC"],
        )
    )


def _nothing_found(name: str | None, known: list[str]) -> str:
    if not known:
        return "MLflow's store has no experiment of foldcam's yet. `foldcam run FILE` makes one."
    near = get_close_matches(name or "", known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"MLflow's store has no experiment {name!r}.{hint} It has: {', '.join(known)}."

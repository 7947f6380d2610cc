"""Finds a backbone's fold runs in the record: those below its own run, and those of earlier runs that it reused."""

from __future__ import annotations

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from tasks.tracking.artifacts import Artifacts
from tasks.tracking.runs import PARENT

FOLD_RUNS = "fold_runs.csv"
"""A backbone run's table of its fold runs: `fold`, `run_id`, `status`, `error`, `seconds`."""


def completed_folds(client: MlflowClient, artifacts: Artifacts, backbone_run_id: str) -> dict[int, str]:
    """Give the completed fold runs of a backbone's run, by fold and in their order.

    Where a fold was done several times below the backbone's run, it is the newest; where it was not done there, it is
    the one of an earlier run that was reused.

    Parameters
    ----------
    client : MlflowClient
        The store.
    artifacts : Artifacts
        What reads the run's `fold_runs.csv`; a run of an older version may have none.
    backbone_run_id : str
        The backbone's run.
    """
    found = _reused(client, artifacts, backbone_run_id) | _own(client, backbone_run_id)
    return dict(sorted(found.items()))


def _own(client: MlflowClient, backbone_run_id: str) -> dict[int, str]:
    experiment = client.get_run(backbone_run_id).info.experiment_id
    wanted = f"tags.`foldcam.level` = 'fold' and tags.`{PARENT}` = '{backbone_run_id}'"
    found: dict[int, str] = {}
    token = None
    while True:
        page = client.search_runs(
            [experiment],
            f"{wanted} and tags.`foldcam.status` = 'completed'",
            run_view_type=ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found |= {int(run.data.tags["foldcam.fold"]): str(run.info.run_id) for run in page}
        token = page.token
        if not token:
            return found


def _reused(client: MlflowClient, artifacts: Artifacts, backbone_run_id: str) -> dict[int, str]:
    if FOLD_RUNS not in artifacts.names(backbone_run_id):
        return {}
    table: pd.DataFrame = pd.read_csv(artifacts.fetch(backbone_run_id, FOLD_RUNS), dtype={"run_id": str})
    finished = table[(table["status"] != "failed") & table["run_id"].notna()]
    pairs = zip(finished["fold"].tolist(), finished["run_id"].tolist(), strict=True)
    return {int(fold): run_id for fold, run_id in pairs if _is_there(client, run_id)}


def _is_there(client: MlflowClient, run_id: str) -> bool:
    try:
        run: Run = client.get_run(run_id)
    except MlflowException:
        return False
    return bool(run.info.lifecycle_stage == "active")

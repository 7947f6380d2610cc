"""What a run that failed has not finished writing: it is taken away, so that nobody takes it for the whole."""

from __future__ import annotations

import shutil

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus

from tasks.tracking.store import local_path, place_of

_BEGUN_BY_MLFLOW = ".artifact.uploading.*"
"""How MLflow names a file in a folder of this machine until it is whole."""


def remove_half_written(client: MlflowClient, run_id: str) -> None:
    """Mark a run's models that were begun and not finished as failed, and remove their files and other begun ones."""
    place = place_of(client, run_id)
    for model in client.search_logged_models([place.experiment_id], f"source_run_id = '{run_id}'"):
        if model.status == LoggedModelStatus.PENDING:
            fail(client, model)
    if (folder := local_path(place.artifacts)) is not None:
        for begun in folder.rglob(_BEGUN_BY_MLFLOW):
            begun.unlink(missing_ok=True)


def fail(client: MlflowClient, model: LoggedModel) -> None:
    """Mark a model as failed; its files are removed where they lie on this machine."""
    if (folder := local_path(model.artifact_location)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)

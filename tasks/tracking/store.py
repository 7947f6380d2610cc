"""Where MLflow keeps the record: its address, its database, an experiment's id, local copies of artifacts."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from urllib.parse import urlsplit

# Read when MLflow is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Standard output is for what was asked for; MLflow would print two lines a run there.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# Else MLflow puts the user's own pyproject.toml and uv.lock, if the working folder has them, into every model.
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from tasks.config import InputError

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tells MLflow's pages that this is model training, so that they open on the runs and not on chats."""

REQUEST_SECONDS = "30"


def tracking_uri() -> str:
    """Give MLflow's address: `MLFLOW_TRACKING_URI`, or MLflow's own default in the working folder."""
    return str(mlflow.get_tracking_uri())


def open_client(uri: str) -> MlflowClient:
    """Give a client of the store; a new local database is made here, once, before any worker could race for it.

    Raises
    ------
    InputError
        Nothing answers at the address, or it is not an MLflow store.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", REQUEST_SECONDS)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    try:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except Exception as fault:  # what a database raises depends on its driver
        raise InputError(
            f"MLflow's store at {uri} could not be used: {_first_line(fault)} Check MLFLOW_TRACKING_URI and that the "
            "server runs, or unset it to use a store in the working folder."
        ) from fault
    return client


def experiment_id(client: MlflowClient, name: str) -> str:
    """Give the id of the MLflow experiment called `name`, made now if there is none.

    Raises
    ------
    InputError
        An experiment of this name was deleted and is still in MLflow's bin.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, tags=KIND))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise InputError(
            f"The MLflow experiment {name!r} was deleted and its name is still taken. Restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or change `name` in the file."
        )
    return str(found.experiment_id)


def local_copy(client: MlflowClient, run_id: str, artifact: str, folder: Path) -> Path:
    """Give the local path of an artifact: where it lies, or a copy below `folder` when the store is remote.

    Raises
    ------
    FileNotFoundError
        The store is remote, and the run has no such artifact.
    """
    root = local_path(_artifact_root(client, run_id))
    if root is not None:
        return root / artifact
    folder = folder / run_id
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(client.download_artifacts(run_id, artifact, str(folder)))
    except Exception as fault:  # what a store raises for a missing artifact depends on its kind
        if artifact in {entry.path for entry in client.list_artifacts(run_id, artifact.rpartition("/")[0] or None)}:
            raise
        raise FileNotFoundError(f"the run {run_id} has no artifact {artifact}") from fault


def local_path(uri: str) -> Path | None:
    """Give the folder on this machine that an artifact location stands for, or None if it lies elsewhere."""
    return Path(local_file_uri_to_path(uri)) if urlsplit(uri).scheme in ("", "file") else None


@functools.lru_cache(maxsize=4096)
def _artifact_root(client: MlflowClient, run_id: str) -> str:
    return str(client.get_run(run_id).info.artifact_uri)


def _first_line(fault: BaseException) -> str:
    text = str(fault).strip().splitlines()
    first = text[0] if text else type(fault).__name__
    return first[:300].rstrip(".") + "."

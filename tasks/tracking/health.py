"""Looks at MLflow's store as a doctor does: whether it can be written to, and what killed runs have left there."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tasks.tracking.owners import is_orphan
from tasks.tracking.patience import for_at_most
from tasks.tracking.refusals import refusal_of, without_password_of
from tasks.tracking.runs import OWNER
from tasks.tracking.store import local_path

PROBE = "foldcam-doctor"
"""The beginning of the name of what is written as a trial."""

_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


@dataclass(frozen=True)
class Artifacts:
    """Where artifacts go.

    Attributes
    ----------
    uri : str
        The location, as MLflow has it.
    folder : Path or None
        The folder on this machine, where it is one.
    fault : str
        Why nothing can be kept there; empty where a trial was written, read and deleted.
    """

    uri: str
    folder: Path | None
    fault: str = ""


@contextmanager
def without_waiting() -> Iterator[None]:
    """Let MLflow's client answer within seconds while the block lasts: a doctor does not try again and again."""
    before = {name: os.environ.get(name) for name in _ONCE}
    os.environ.update(_ONCE)
    try:
        with for_at_most(0):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def mlflow_version() -> str:
    """Give the version of the MLflow that is installed."""
    return str(mlflow.__version__)


def try_artifacts(client: MlflowClient, uri: str, experiment: str | None) -> Artifacts:
    """Write a small file where an experiment's artifacts go, read it again and delete it.

    Parameters
    ----------
    client : MlflowClient
        The store.
    uri : str
        Its address.
    experiment : str or None
        The experiment's name; None, or where it is not there yet: the newest experiment, whose location is below the
        same root as that of the next.
    """
    found = client.get_experiment_by_name(experiment) if experiment else None
    if found is None:
        found = max(client.search_experiments(view_type=ViewType.ALL), key=lambda one: int(one.experiment_id))
    location = str(found.artifact_location)
    place = f"{location.rstrip('/')}/{PROBE}-{secrets.token_hex(6)}"
    try:
        _write_read_delete(place, uri)
    except Exception as fault:  # what a store raises depends on its kind
        said = refusal_of(fault, uri) or without_password_of(uri, str(fault).strip().splitlines()[0][:300])
        return Artifacts(location, local_path(location), str(said))
    return Artifacts(location, local_path(location))


def _write_read_delete(place: str, tracking_uri: str) -> None:
    repository = get_artifact_repository(place, tracking_uri=tracking_uri)
    with tempfile.TemporaryDirectory(prefix="foldcam-doctor-") as scratch:
        file, content = Path(scratch, "trial.txt"), secrets.token_hex(32)
        file.write_text(content, encoding="utf-8")
        repository.log_artifact(str(file))
        try:
            read = Path(repository.download_artifacts("trial.txt", scratch + "/")).read_text(encoding="utf-8")
            if read != content:
                raise OSError("what is read there is not what was written")
        finally:
            repository.delete_artifacts()
    here = local_path(place)
    if here is not None and here.is_dir():
        here.rmdir()


def orphans(client: MlflowClient) -> list[str]:
    """Give the ids of runs that are recorded as running and whose process, on this machine, is gone."""
    experiments = [str(found.experiment_id) for found in client.search_experiments()]
    wanted = "attributes.status = 'RUNNING' and tags.`foldcam.status` = 'started'"
    runs = client.search_runs(experiments, wanted, run_view_type=ViewType.ACTIVE_ONLY, max_results=1000)
    return [str(run.info.run_id) for run in runs if is_orphan(run.data.tags.get(OWNER, ""))]

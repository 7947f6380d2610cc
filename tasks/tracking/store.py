"""Where MLflow keeps the record: its address, its database, an experiment's id, local copies of artifacts."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

# Read when MLflow is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Standard output is for what was asked for; MLflow would print two lines a run there.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# Else MLflow puts the user's own pyproject.toml and uv.lock, if the working folder has them, into every model.
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")

import mlflow
from mlflow import MlflowClient, artifacts
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from tasks.config import InputError, Unfinished
from tasks.dataset.cache_folder import cache_home
from tasks.dataset.locks import filling
from tasks.tracking.client import PatientClient
from tasks.tracking.patience import Unreachable, for_at_most, patience_with, wait_seconds
from tasks.tracking.refusals import checked_address, refusal_of, without_password_of, without_sign_in
from tasks.tracking.schema import check_schema

# It logs tracebacks of faults that it raises all the same, and that are told as one paragraph.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tells MLflow's pages that this is model training, so that they open on the runs and not on chats."""

REQUEST_SECONDS = "30"
FIRST_SECONDS = 10.0
"""For how long the first call of a command is tried again: a wrong address is to be said soon."""


def tracking_uri() -> str:
    """Give MLflow's address: `MLFLOW_TRACKING_URI`, or MLflow's own default in the working folder.

    Raises
    ------
    InputError
        It is a server's, and holds a user or a password.
    """
    return checked_address(str(mlflow.get_tracking_uri()))


def open_client(uri: str) -> PatientClient:
    """Give a client of the store; a new local database is made here, once, before any worker could race for it.

    Raises
    ------
    InputError
        Nothing answers at the address, it is not an MLflow store or another MLflow's, or it refuses the user.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", REQUEST_SECONDS)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    with _one_at_a_time(uri):
        check_schema(uri)
    try:
        with _one_at_a_time(uri):
            client = PatientClient(uri)
        patience_with(uri).begin()
        with for_at_most(min(FIRST_SECONDS, wait_seconds())):
            client.search_experiments(max_results=1)
    except Exception as fault:  # what a database raises depends on its driver
        said = f"MLflow's store at {without_sign_in(uri)} could not be used: {_first_line(fault)}"
        said = without_password_of(uri, fault.reason if isinstance(fault, Unreachable) else said)
        raise refusal_of(fault, uri) or InputError(
            f"{said} Check MLFLOW_TRACKING_URI and that the server runs, or unset it to use a store in the working "
            "folder."
        ) from fault
    return client


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Let only one process at a time make the tables of a local database; where there is no room for a lock, go on."""
    with ExitStack() as held:
        if uri.startswith("sqlite:"):
            lock = cache_home() / "claims" / f"{hashlib.sha256(uri.encode()).hexdigest()[:40]}.making.lock"
            with suppress(OSError):
                lock.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(filling(lock))
        yield


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
    place = place_of(client, run_id)
    root = local_path(place.artifacts)
    if root is not None:
        return root / artifact
    target = folder / run_id / artifact
    if place.is_final and target in _brought and target.exists():
        return target
    above = artifact.rpartition("/")[0]
    # A server before an S3 store answers 500 for what is not there, as it does when it is in trouble.
    if artifact not in (_listed if place.is_final else _listed.__wrapped__)(client, run_id, above):
        raise FileNotFoundError(f"the run {run_id} has no artifact {artifact}")
    target.parent.mkdir(parents=True, exist_ok=True)
    found = _bring(client, run_id, artifact, folder / run_id)
    _brought.add(found)
    return found


_brought: set[Path] = set()
"""What this process has copied from a remote store."""


@functools.lru_cache(maxsize=4096)
def _listed(client: MlflowClient, run_id: str, folder: str) -> frozenset[str]:
    """Give the paths of what lies directly in a folder of a run's artifacts."""
    return frozenset(entry.path for entry in client.list_artifacts(run_id, folder or None))


def _bring(client: MlflowClient, run_id: str, artifact: str, folder: Path) -> Path:
    """Copy an artifact: in two calls where it is the run's own, else as MLflow does, with a search for models."""
    uri = f"{place_of(client, run_id).artifacts.rstrip('/')}/{artifact}"
    target = folder / artifact

    def own() -> str:
        return str(
            artifacts.download_artifacts(
                artifact_uri=uri, dst_path=str(target.parent), tracking_uri=client.tracking_uri
            )
        )

    try:
        return Path(patience_with(client.tracking_uri)(own))
    except Unfinished:
        raise
    except Exception:  # perhaps it belongs to a model of the run; what is raised depends on where artifacts lie
        return Path(client.download_artifacts(run_id, artifact, str(folder)))


def local_path(uri: str) -> Path | None:
    """Give the folder on this machine that an artifact location stands for, or None if it lies elsewhere."""
    return Path(local_file_uri_to_path(uri)) if urlsplit(uri).scheme in ("", "file") else None


class RunPlace(NamedTuple):
    """What does not change of a run: its MLflow experiment's id, the location of its artifacts, whether that is all."""

    experiment_id: str
    artifacts: str
    is_final: bool


@functools.lru_cache(maxsize=4096)
def place_of(client: MlflowClient, run_id: str) -> RunPlace:
    """Give where a run belongs; it is looked up once."""
    run = client.get_run(run_id)
    is_final = run.info.status == "FINISHED" and run.data.tags.get("foldcam.level") == "fold"
    return RunPlace(str(run.info.experiment_id), str(run.info.artifact_uri), is_final)


def _first_line(fault: BaseException) -> str:
    text = str(fault).strip().splitlines()
    first = text[0] if text else type(fault).__name__
    return first[:300].rstrip(".") + "."

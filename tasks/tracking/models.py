"""Finds a model in the record by what people call it, brings it to this machine, and says how it was explained."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient, artifacts
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tasks.config import InputError
from tasks.dataset.wording import listed
from tasks.tracking.artifacts import Artifacts
from tasks.tracking.fold_runs import completed_folds
from tasks.tracking.lookup import newest_experiment
from tasks.tracking.refusals import refusal_of, without_password_of, without_sign_in
from tasks.tracking.runs import PARENT
from tasks.tracking.store import local_path

_RUN_ID = re.compile("[0-9a-f]{32}")
_FOLD_RUN = re.compile(r"(?P<experiment>.+)/(?P<backbone>[^/]+)/(?P<fold>[0-9]+)")
_MODELS, _RUNS = "models:/", "runs:/"


@dataclass(frozen=True)
class RecordedModel:
    """A model of the record, on this machine.

    Attributes
    ----------
    title : str
        What people call it.
    folder : Path
        MLflow's folder of the model, with `MLmodel` in it.
    backbone : str or None
        The registry name of its backbone, where a fold run made it.
    seed : int or None
        The experiment's seed.
    explanation : mapping
        The experiment's settings `explanation`; empty where they are not known.
    name : str or None
        The registered model's name, else that of the experiment that made it.
    version : str or None
        Its version in the registry.
    """

    title: str
    folder: Path
    backbone: str | None = None
    seed: int | None = None
    explanation: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    version: str | None = None


def find_model(client: MlflowClient, address: str, folder: Path) -> RecordedModel:
    """Find a model by its address.

    Parameters
    ----------
    client : MlflowClient
        The store.
    address : str
        `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `models:/m-ID`, `runs:/ID/NAME`, a fold run's id, or
        `EXPERIMENT/BACKBONE/FOLD` for that fold run of the newest experiment run of the name.
    folder : Path
        Where copies are kept when the store is remote.

    Raises
    ------
    InputError
        There is no such model (with the nearest names beside it), it was never finished, or it cannot be brought here.
    """
    registered: ModelVersion | None = None
    if address.startswith(_MODELS):
        own, run_id, registered = _by_model_uri(client, address)
    elif address.startswith(_RUNS):
        run_id, _, name = address.removeprefix(_RUNS).strip("/").partition("/")
        own = _model_of_run(client, run_id, name or "model")
    elif _RUN_ID.fullmatch(address):
        own, run_id = _model_of_run(client, address, "model"), address
    else:
        run_id = _fold_run(client, address, folder)
        own = _model_of_run(client, run_id, "model")
    run = None if not run_id else _run(client, run_id)
    return RecordedModel(
        title=_title(client, address, run),
        folder=_brought(own, client, folder),
        backbone=None if run is None else run.data.tags.get("foldcam.backbone"),
        seed=None if run is None else _number(run.data.params.get("seed")),
        explanation={} if run is None else _explanation(client, run, folder),
        name=_experiment(client, run) if registered is None else str(registered.name),
        version=None if registered is None else str(registered.version),
    )


def _by_model_uri(client: MlflowClient, address: str) -> tuple[LoggedModel | str, str | None, ModelVersion | None]:
    """Give a model, or where its files are, the run that made it, and its version if it is registered."""
    rest = address.removeprefix(_MODELS).strip("/")
    if "/" not in rest and "@" not in rest and not rest.startswith("m-"):
        raise InputError(
            f"--model: {address} does not say which version. Name one: {_MODELS}{rest or 'NAME'}@champion for what an "
            f"alias points to, or {_MODELS}{rest or 'NAME'}/1."
        )
    try:
        if rest.startswith("m-"):
            model = client.get_logged_model(rest)
            return model, model.source_run_id, None
        found = _version(client, rest)
        source = str(found.source)
        logged = source.removeprefix(_MODELS) if source.startswith(f"{_MODELS}m-") else found.model_id
        return client.get_logged_model(logged) if logged else source, found.run_id, found
    except MlflowException as fault:
        raise InputError(_no_model(client, address, rest, fault)) from fault


def _version(client: MlflowClient, rest: str) -> ModelVersion:
    if "@" in rest:
        name, _, alias = rest.rpartition("@")
        return client.get_model_version_by_alias(name, alias)
    name, _, version = rest.rpartition("/")
    if version != "latest":
        return client.get_model_version(name, version)
    known = client.search_model_versions(f"name = '{name}'")
    if not known:
        raise MlflowException(f"there is no version of {name}")
    return max(known, key=lambda found: int(found.version))


def _no_model(client: MlflowClient, address: str, rest: str, fault: MlflowException) -> str:
    said = str(fault.message).strip().splitlines()[0].rstrip(".")
    names = [found.name for found in client.search_registered_models(max_results=100)]
    if not names:
        return f"--model: {address} is not in MLflow's store ({said}), and no model is registered there."
    near = get_close_matches(re.split("[@/]", rest)[0], names, n=1)
    hint = f" Is {near[0]} meant?" if near else ""
    return f"--model: {address} is not in MLflow's store ({said}).{hint} Registered are: {listed(sorted(names), 10)}."


def _fold_run(client: MlflowClient, address: str, folder: Path) -> str:
    parts = _FOLD_RUN.fullmatch(address)
    if parts is None:
        raise InputError(f"--model: {address} is no address of a model. Name EXPERIMENT/BACKBONE/FOLD, or models:/….")
    recorded = newest_experiment(client, parts["experiment"])
    own = recorded.backbones.get(parts["backbone"])
    if own is None:
        known = listed(recorded.backbones, 10)
        raise InputError(
            f"--model: {address}: the experiment {recorded.name!r} has no backbone {parts['backbone']!r}. It has: "
            f"{known or 'none yet'}."
        )
    folds = completed_folds(client, Artifacts(client, folder), own.run_id)
    if int(parts["fold"]) not in folds:
        raise InputError(
            f"--model: {address}: there is no finished fold {parts['fold']} of {parts['backbone']} in the newest run "
            f"of {recorded.name!r}. Finished are: {listed(folds, 20) or 'none'}."
        )
    return folds[int(parts["fold"])]


def _run(client: MlflowClient, run_id: str) -> Run | None:
    try:
        return client.get_run(run_id)
    except MlflowException:
        return None


def _model_of_run(client: MlflowClient, run_id: str, name: str) -> LoggedModel | str:
    run = _run(client, run_id)
    if run is None:
        raise InputError(f"--model: MLflow's store has no run {run_id}. Check the id, and MLFLOW_TRACKING_URI.")
    ids = [output.model_id for output in (run.outputs.model_outputs if run.outputs else [])]
    models = [model for model in map(client.get_logged_model, ids) if model.name == name]
    if models:
        return models[-1]
    if any(entry.path == name for entry in client.list_artifacts(run_id)):
        return f"{_RUNS}{run_id}/{name}"
    level, status = (run.data.tags.get(f"foldcam.{key}") for key in ("level", "status"))
    if level in ("experiment", "backbone"):
        raise InputError(
            f"--model: the run {run_id} is that of a whole {level}, and models belong to its fold runs. Name one: "
            "EXPERIMENT/BACKBONE/FOLD, or a fold run's id."
        )
    ended = f" It is {status}." if status and status != "completed" else ""
    raise InputError(f"--model: the run {run_id} ({run.info.run_name}) has no model called {name!r}.{ended}")


def _brought(own: LoggedModel | str, client: MlflowClient, folder: Path) -> Path:
    """Give the model's folder: where it lies on this machine, or a copy that is kept."""
    address = own if isinstance(own, str) else own.artifact_location
    place = local_path(address)
    if place is None:
        place = _copy(f"{_MODELS}{own.model_id}" if isinstance(own, LoggedModel) else own, client, folder)
    if not (place / "MLmodel").is_file():
        raise InputError(f"--model: the files of the model are gone: there is no {place / 'MLmodel'}.")
    return place


def _copy(uri: str, client: MlflowClient, folder: Path) -> Path:
    place = folder / "models" / re.sub(r"\W+", "_", uri)
    if place.is_dir():
        return place
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=place.parent))
    try:
        found = artifacts.download_artifacts(
            artifact_uri=uri, dst_path=str(scratch), tracking_uri=client.tracking_uri, registry_uri=client.tracking_uri
        )
        Path(found).rename(place)
    except Exception as fault:  # what is raised depends on where artifacts lie
        if place.is_dir():  # another process was quicker
            return place
        refused = refusal_of(fault, client.tracking_uri)
        if refused is not None:
            raise refused from fault
        said = (str(fault).strip().splitlines() or [type(fault).__name__])[0][:300].rstrip(".")
        said = without_password_of(client.tracking_uri, said)
        where = without_sign_in(client.tracking_uri)
        raise InputError(f"--model: {uri} cannot be brought here from {where}: {said}.") from fault
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return place


def _title(client: MlflowClient, address: str, run: Run | None) -> str:
    made = "" if run is None else f"{_experiment(client, run)} {run.info.run_name}"
    if not address.startswith(_MODELS) or address.startswith(f"{_MODELS}m-"):
        return made or address
    name = address.removeprefix(_MODELS)
    if run is not None and run.data.tags.get("foldcam.level") == "experiment":
        made = str(_experiment(client, run))
        return name if re.split("[@/]", name)[0] == made else f"{name} ({made})"
    return f"{name} ({made})" if made else name


def _experiment(client: MlflowClient, run: Run | None) -> str | None:
    return None if run is None else str(client.get_experiment(run.info.experiment_id).name)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _explanation(client: MlflowClient, run: Run, folder: Path) -> dict[str, Any]:
    """Give the settings of the experiment above a fold run; none where it is gone or of another maker."""
    above: Run | None = run
    while above is not None and above.data.tags.get("foldcam.level") != "experiment":
        parent = above.data.tags.get(PARENT)
        above = None if parent is None else _run(client, parent)
    if above is None:
        return {}
    try:
        file = Artifacts(client, folder).fetch(str(above.info.run_id), "experiment.yaml")
        found = yaml.safe_load(file.read_text(encoding="utf-8"))["explanation"]
    except (InputError, OSError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return dict(found) if isinstance(found, dict) else {}

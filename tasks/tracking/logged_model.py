"""Logs a network as MLflow's LoggedModel: what `mlflow.pyfunc.log_model` does, without loading and copying it again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model as MLmodel
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from tasks.config import Unfinished
from tasks.dataset.pixels import shaping
from tasks.evaluation import outputs
from tasks.tracking.half_written import fail
from tasks.tracking.records import Model
from tasks.tracking.store import local_path, place_of
from tasks.tracking.uploads import send_folder

NETWORK = "network.keras"
NAME = "model"


def log_model(client: MlflowClient, run_id: str, record: Model, params: Mapping[str, str]) -> str:
    """Make a run's LoggedModel and give its id.

    Raises
    ------
    MlflowException
        The store refuses it; what has been made of it is marked as failed.
    Unfinished
        The store cannot be reached; what has been made of it is gone on with by `log_saved_model`.
    """
    return _log(client, run_id, params, lambda model: _put_files(client, run_id, model, record))


def save_apart(folder: Path, record: Model) -> None:
    """Write a model's files into a folder, for a LoggedModel that is made later; see `log_saved_model`."""
    _save(folder, None, "", record)


def log_saved_model(client: MlflowClient, run_id: str, folder: Path, params: Mapping[str, str]) -> str:
    """Make a run's LoggedModel of files that `save_apart` has written, once; give its id.

    Raises
    ------
    MlflowException
        The store refuses it.
    """
    run = client.get_run(run_id)
    wanted = f"name = '{NAME}' and source_run_id = '{run_id}'"
    begun = next(iter(client.search_logged_models([run.info.experiment_id], wanted, max_results=1)), None)
    if begun is not None and run.outputs and begun.model_id in {own.model_id for own in run.outputs.model_outputs}:
        return str(begun.model_id)  # the last step was done already
    return _log(client, run_id, params, lambda model: _put_saved(client, run_id, model, folder), begun)


def _log(
    client: MlflowClient,
    run_id: str,
    params: Mapping[str, str],
    put: Callable[[LoggedModel], None],
    begun: LoggedModel | None = None,
) -> str:
    if begun is None:
        experiment = place_of(client, run_id).experiment_id
        begun = client.create_logged_model(experiment, NAME, run_id, params=dict(params))
    if begun.status != LoggedModelStatus.READY:
        try:
            put(begun)
        except Unfinished:
            raise  # it is gone on with when the server is back
        except BaseException:
            fail(client, begun)
            raise
        client.finalize_logged_model(begun.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(begun.model_id, step=0)])
    return str(begun.model_id)


def _put_files(client: MlflowClient, run_id: str, model: LoggedModel, record: Model) -> None:
    """Write the model's files: to their place where that is on this machine, else beside the network for the upload."""
    place = local_path(model.artifact_location)
    if place is not None:
        _save(place, model, run_id, record)
        return
    with tempfile.TemporaryDirectory(dir=record.keras_file.parent, prefix="upload-") as scratch:
        _save(Path(scratch, "model"), model, run_id, record)
        send_folder(Path(scratch, "model"), partial(client.log_model_artifact, model.model_id))


def _put_saved(client: MlflowClient, run_id: str, model: LoggedModel, folder: Path) -> None:
    saved = MLmodel.load(str(folder))
    saved.artifact_path, saved.run_id = model.artifact_location, run_id
    saved.model_uuid = saved.model_id = model.model_id
    saved.save(str(folder / "MLmodel"))
    place = local_path(model.artifact_location)
    if place is None:
        send_folder(folder, partial(client.log_model_artifact, model.model_id))
    else:
        shutil.copytree(folder, place, dirs_exist_ok=True)


def _save(folder: Path, model: LoggedModel | None, run_id: str, record: Model) -> None:
    made_for = {} if model is None else {"artifact_path": model.artifact_location, "run_id": run_id}
    ids = {} if model is None else {"model_uuid": model.model_id, "model_id": model.model_id}
    saved = MLmodel(**made_for, **ids)
    with tempfile.TemporaryDirectory(prefix="foldcam-") as scratch, warnings.catch_warnings():
        # MLflow's hint that it knows no type hint for arrays of images.
        warnings.simplefilter("ignore", UserWarning)
        pyfunc.save_model(
            path=str(folder),
            mlflow_model=saved,
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts=_small_artifacts(Path(scratch), record),
            signature=_signature(record.targets.classes),
            input_example=record.example,
            pip_requirements=requirements(),
        )
    network = folder / saved.flavors[pyfunc.FLAVOR_NAME]["artifacts"]["network"]["path"]
    _link_or_copy(record.keras_file, network)
    saved.model_size_bytes += network.stat().st_size
    saved.save(str(folder / "MLmodel"))


def _small_artifacts(folder: Path, record: Model) -> dict[str, str]:
    """Give the served model's artifacts, an empty file for the network: MLflow would copy it once more.

    `shaping.py` and `outputs.py` are the code that training and evaluation use.
    """
    about, network = folder / "about.json", folder / NETWORK
    content = asdict(record.targets) | {
        "size": record.size,
        "thresholds": record.thresholds,
        "preprocessing": record.preprocessing.model_dump(mode="json"),
    }
    about.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    network.touch()
    code = {part.__name__.rpartition(".")[2]: str(part.__file__) for part in (shaping, outputs)}
    return {"network": str(network), "about": str(about), **code}


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _signature(classes: tuple[str, ...]) -> ModelSignature:
    images = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3), name=None)])
    decide = ParamSchema([ParamSpec("decide", DataType.boolean, False)])
    return ModelSignature(images, Schema([ColSpec(DataType.float, name) for name in classes]), decide)


def requirements() -> list[str]:
    """Give what a served model needs to be installed, in the versions that are installed here."""
    return [own.replace("tensorflow-cpu==", "tensorflow==") for own in installed_requirements()]


def installed_requirements() -> list[str]:
    """Give the same by the names that are installed: MLflow imports what it does not find by its name."""
    exact = ("keras", "mlflow", "numpy", "pandas", "pillow")
    build = "tensorflow-cpu" if is_installed("tensorflow-cpu") else "tensorflow"
    return [f"{name}=={version(name)}" for name in (build, *exact)]


def tensorflow_version() -> str:
    """Give the version of whichever build of TensorFlow is installed, without importing it."""
    return version("tensorflow-cpu" if is_installed("tensorflow-cpu") else "tensorflow")


def is_installed(package: str) -> bool:
    """Tell whether a package is installed, without importing it."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True

"""Logs a champion as MLflow's LoggedModel: its files are written once, to the place where they stay."""

from __future__ import annotations

import base64
import io
import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pandas as pd
import yaml
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.models import Model as MLmodel
from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema
from PIL import Image

from tasks.config import InputError
from tasks.tracking.logged_model import installed_requirements
from tasks.tracking.store import local_path

logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)

TRAVELLING = (
    "tasks.tracking.champion_inputs",
    "tasks.tracking.champion_networks",
    "tasks.dataset.pixels.decoding",
    "tasks.dataset.pixels.shaping",
    "tasks.evaluation.outputs",
    "tasks.evaluation.prediction_sets",
    "tasks.explanation.maps",
    "tasks.explanation.blending",
)
"""The modules whose files lie beside the networks: those of `champion_model.CODE`."""

NETWORKS, REFERENCE, TRAINING = "networks", "reference", "training"
"""Artifacts of the served model: a folder of networks, statistics of the training images, and their digests."""

WriteNetworks = Callable[[Path], None]
"""Writes the networks of all backbones into a folder, as `champion_networks.write_networks` does."""


@dataclass(frozen=True)
class ChampionRecord:
    """What a champion is made of.

    Attributes
    ----------
    about : mapping
        What `champion_model.Champion` reads as `about.json`.
    scores : mapping of str to ndarray
        From `prediction_sets.packed`.
    reference : DataFrame
        From `tasks.dataset.drift_reference.reference_statistics`.
    digests : tuple of str
        SHA-256 of the decoded pixels of each image that some fold model has learnt from.
    write_networks : callable
        Writes the networks into the folder that it is given.
    metadata : mapping of str to str
        What is to be known without loading it.
    """

    about: Mapping[str, Any]
    scores: Mapping[str, np.ndarray]
    reference: pd.DataFrame
    digests: tuple[str, ...]
    write_networks: WriteNetworks
    metadata: Mapping[str, str]


def log_champion(
    client: MlflowClient, run_id: str, name: str, record: ChampionRecord, params: Mapping[str, str]
) -> str:
    """Make a run's LoggedModel and give its id.

    Raises
    ------
    MlflowException
        The store refuses it; what has been made of it is marked as failed, as it is when anything else goes wrong.
    """
    experiment = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment, name, run_id, params=dict(params))
    try:
        _put_files(client, run_id, model, record)
    except BaseException:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
        raise
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_id)


def read_about(folder: Path) -> dict[str, Any]:
    """Read what a champion in a folder says of itself.

    Raises
    ------
    InputError
        The folder holds no champion.
    """
    found: dict[str, Any] = json.loads(_artifact(folder, "about").read_text(encoding="utf-8"))
    return found


def training_digests(folder: Path) -> set[str]:
    """Read the SHA-256 of the pixels of the images that a champion's fold models have learnt from.

    Raises
    ------
    InputError
        The folder holds no champion.
    """
    return set(pd.read_parquet(_artifact(folder, TRAINING))["sha256"])


def network_file(folder: Path) -> Path:
    """Give the Keras file in the folder of a fold run's model.

    Raises
    ------
    InputError
        There is none.
    """
    return _artifact(folder, "network")


def load_champion(folder: Path) -> Any:
    """Load a champion from its folder; its `predict` is `champion_model.Champion.predict`."""
    return pyfunc.load_model(str(folder))


def _artifact(folder: Path, name: str) -> Path:
    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        file = folder / str(flavors[pyfunc.FLAVOR_NAME]["artifacts"][name]["path"])
        if file.exists():
            return file
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        pass
    raise InputError(f"The model in {folder} has no part {name!r}: its files are gone, or foldcam did not make it.")


def _put_files(client: MlflowClient, run_id: str, model: LoggedModel, record: ChampionRecord) -> None:
    place = local_path(model.artifact_location)
    if place is not None:
        _save(place, run_id, model, record)
        return
    with tempfile.TemporaryDirectory(prefix="foldcam-champion-") as scratch:
        _save(Path(scratch, "model"), run_id, model, record)
        client.log_model_artifacts(model.model_id, str(Path(scratch, "model")))


def _save(folder: Path, run_id: str, model: LoggedModel, record: ChampionRecord) -> None:
    saved = MLmodel(
        artifact_path=model.artifact_location,
        run_id=run_id,
        model_uuid=model.model_id,
        model_id=model.model_id,
        metadata=dict(record.metadata),
    )
    with tempfile.TemporaryDirectory(prefix="foldcam-") as scratch:
        pyfunc.save_model(
            path=str(folder),
            mlflow_model=saved,
            python_model=str(Path(__file__).with_name("champion_model.py")),
            artifacts=_small_artifacts(Path(scratch), record),
            signature=_signature(record.about["classes"]),
            input_example=pd.DataFrame({"image": [_grey_picture()]}),
            pip_requirements=installed_requirements(),
        )
    body = json.dumps({"inputs": [_grey_picture()]})
    (folder / "serving_input_example.json").write_text(body, encoding="utf-8")
    for file in ("requirements.txt", "conda.yaml"):
        text = (folder / file).read_text(encoding="utf-8")
        (folder / file).write_text(text.replace("tensorflow-cpu==", "tensorflow=="), encoding="utf-8")
    networks = folder / saved.flavors[pyfunc.FLAVOR_NAME]["artifacts"][NETWORKS]["path"]
    record.write_networks(networks)
    saved.model_size_bytes += sum(file.stat().st_size for file in networks.iterdir())
    saved.save(str(folder / "MLmodel"))


def _small_artifacts(folder: Path, record: ChampionRecord) -> dict[str, str]:
    """Write all but the networks, whose folder is empty yet: MLflow would copy them once more."""
    (folder / NETWORKS).mkdir()
    (folder / "code").mkdir()
    for module in TRAVELLING:
        found = find_spec(module)
        file = Path(str(found.origin if found else module))
        copyfile(file, folder / "code" / file.name)
    (folder / "about.json").write_text(json.dumps(record.about, ensure_ascii=False), encoding="utf-8")
    arrays: dict[str, Any] = dict(record.scores)
    np.savez_compressed(folder / "scores.npz", **arrays)
    record.reference.to_parquet(folder / "reference.parquet", index=False)
    pd.DataFrame({"sha256": list(record.digests)}).to_parquet(folder / "training.parquet", index=False)
    files = {
        "about": "about.json",
        "scores": "scores.npz",
        REFERENCE: "reference.parquet",
        TRAINING: "training.parquet",
    }
    return {name: str(folder / file) for name, file in (files | {"code": "code", NETWORKS: NETWORKS}).items()}


def _signature(classes: list[str]) -> ModelSignature:
    """Give the signature; what comes in is checked by the model itself, since no type of MLflow's stands for images."""
    text, number = DataType.string, DataType.double
    columns = [
        ColSpec(text, "label"),
        ColSpec(number, "probability"),
        ColSpec(Array(text), "prediction_set"),
        ColSpec(DataType.boolean, "abstains"),
        *(ColSpec(number, f"prob/{label}") for label in classes),
        ColSpec(text, "overlay", required=False),
        ColSpec(text, "error", required=False),
    ]
    params = ParamSchema(
        [
            ParamSpec("explain", DataType.boolean, False),
            ParamSpec("batch_size", DataType.integer, 32),
            ParamSpec("on_error", text, "raise"),
            ParamSpec("one_fold", DataType.boolean, False),
        ]
    )
    signature = ModelSignature(Schema([ColSpec(AnyType(), "image")]), Schema(columns), params)
    signature._is_signature_from_type_hint = True
    return signature


def _grey_picture() -> str:
    """Give a picture of nobody in base64, as an example of what comes in."""
    file = io.BytesIO()
    Image.fromarray(np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")

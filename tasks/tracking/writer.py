"""The one place that writes to MLflow."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterable
from functools import singledispatchmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec
from mlflow.utils.time import get_current_time_millis

from tasks.tracking.records import Dataset, File, Folder, Metrics, Model, Params, Record, Tags, Text

BATCH = 1000
"""The most metrics in one call, by MLflow's REST interface."""
PARAM_BATCH = 100
PARAM_LENGTH = 6000


class Writer:
    """Writes records to one run.

    Parameters
    ----------
    tracking_uri : str
        MLflow's address.
    run_id : str
        The run that all records go to.
    """

    def __init__(self, tracking_uri: str, run_id: str) -> None:
        self.client = MlflowClient(tracking_uri)
        self.tracking_uri = tracking_uri
        self.run_id = run_id

    def write(self, records: Iterable[Record]) -> None:
        """Write the records in their order; neighbouring metrics share one call."""
        pending: list[Metric] = []
        for record in records:
            if isinstance(record, Metrics):
                pending += _entities(record)
                continue
            self._flush(pending)
            pending = []
            self._write(record)
        self._flush(pending)

    def _flush(self, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + BATCH])

    @singledispatchmethod
    def _write(self, record: Record) -> None:
        raise TypeError(f"no way to write a {type(record).__name__}")

    @_write.register
    def _(self, record: Tags) -> None:
        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in record.values.items()])

    @_write.register
    def _(self, record: Params) -> None:
        params = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in record.values.items()]
        for start in range(0, len(params), PARAM_BATCH):
            self.client.log_batch(self.run_id, params=params[start : start + PARAM_BATCH])

    @_write.register
    def _(self, record: File) -> None:
        self.client.log_artifact(self.run_id, str(record.path), record.folder)

    @_write.register
    def _(self, record: Folder) -> None:
        self.client.log_artifacts(self.run_id, str(record.path), record.name)

    @_write.register
    def _(self, record: Text) -> None:
        self.client.log_text(self.run_id, record.content, record.name)

    @_write.register
    def _(self, record: Dataset) -> None:
        with warnings.catch_warnings():
            # MLflow's hint that whole numbers cannot be missing: these are not.
            warnings.simplefilter("ignore", UserWarning)
            dataset = from_pandas(
                record.table,
                source=LocalArtifactDatasetSource(record.source),
                targets=record.targets,
                name=record.name,
                digest=record.digest[:32],
            )
            entity = dataset._to_mlflow_entity()
        dataset_input = DatasetInput(entity, tags=[InputTag("mlflow.data.context", "cross-validation")])
        self.client.log_inputs(self.run_id, [dataset_input])

    @_write.register
    def _(self, record: Model) -> None:
        with tempfile.TemporaryDirectory(prefix="foldcam-") as scratch:
            about = Path(scratch, "about.json")
            about.write_text(
                json.dumps({"classes": list(record.classes), "size": record.size}, ensure_ascii=False), encoding="utf-8"
            )
            mlflow.set_tracking_uri(self.tracking_uri)
            with mlflow.start_run(run_id=self.run_id):
                mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(Path(__file__).with_name("served_model.py")),
                    artifacts={"network": os.fspath(record.keras_file), "about": os.fspath(about)},
                    signature=_signature(record.classes),
                    input_example=record.example,
                    pip_requirements=_requirements(),
                    params=dict(record.params),
                )
            # Leaving the block has ended the run; how it ends is for foldcam to say.
            self.client.update_run(self.run_id, status="RUNNING")


def _entities(record: Metrics) -> list[Metric]:
    bad = [name for name, value in record.values.items() if not np.isfinite(value)]
    if bad:
        raise ValueError(f"metrics must be finite numbers; these are not: {', '.join(bad)}")
    now = get_current_time_millis()
    return [Metric(name, float(value), now, record.step) for name, value in record.values.items()]


def _signature(classes: tuple[str, ...]) -> ModelSignature:
    images = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3), name=None)])
    return ModelSignature(images, Schema([ColSpec(DataType.float, name) for name in classes]))


def _requirements() -> list[str]:
    exact = ("keras", "mlflow", "numpy", "pandas", "pillow")
    return [f"tensorflow=={tensorflow_version()}", *(f"{name}=={version(name)}" for name in exact)]


def tensorflow_version() -> str:
    """Give the version of whichever build of TensorFlow is installed, without importing it."""
    try:
        return version("tensorflow-cpu")
    except PackageNotFoundError:
        return version("tensorflow")

"""The one place that writes to MLflow."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from functools import singledispatchmethod
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_LOGGED_IMAGES
from mlflow.utils.time import get_current_time_millis

from tasks.tracking.logged_model import log_model
from tasks.tracking.picture_files import write_grid_picture, write_table
from tasks.tracking.records import (
    Dataset,
    File,
    Folder,
    GridPicture,
    Metrics,
    Model,
    Params,
    PictureTable,
    Record,
    Tags,
    Text,
)

BATCH = 1000
"""The most values in one call, by MLflow's REST interface."""
SMALL_BATCH = 100
"""The most parameters, and the most tags, in one call."""
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
        self.run_id = run_id

    def write(self, records: Iterable[Record]) -> None:
        """Write the records: files in their order, then all tags, parameters and metrics in as few calls as can be.

        Raises
        ------
        ValueError
            A metric is not a finite number; no tag, parameter or metric is written then.
        """
        tags: dict[str, str] = {}
        params: list[Param] = []
        metrics: list[Metric] = []
        for record in records:
            if isinstance(record, Tags):
                tags |= record.values
            elif isinstance(record, Params):
                params += [Param(key, text) for key, text in _texts(record.values).items()]
            elif isinstance(record, Metrics):
                metrics += _entities(record.values, record.step)
            elif isinstance(record, Model):
                model_id = log_model(self.client, self.run_id, record, _texts(record.params))
                metrics += _entities(record.metrics, model_id=model_id)
            else:
                self._write(record)
        self._send([RunTag(key, value) for key, value in tags.items()], params, metrics)

    def _send(self, tags: list[RunTag], params: list[Param], metrics: list[Metric]) -> None:
        while tags or params or metrics:
            room = BATCH - len(tags[:SMALL_BATCH]) - len(params[:SMALL_BATCH])
            self.client.log_batch(
                self.run_id, metrics=metrics[:room], params=params[:SMALL_BATCH], tags=tags[:SMALL_BATCH]
            )
            tags, params, metrics = tags[SMALL_BATCH:], params[SMALL_BATCH:], metrics[room:]

    @singledispatchmethod
    def _write(self, record: Record) -> None:
        raise TypeError(f"no way to write a {type(record).__name__}")

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
        dataset_input = DatasetInput(entity, tags=[InputTag("mlflow.data.context", record.context)])
        self.client.log_inputs(self.run_id, [dataset_input])

    @_write.register
    def _(self, record: PictureTable) -> None:
        with tempfile.TemporaryDirectory(prefix="foldcam-table-") as scratch:
            file = write_table(record, Path(scratch))
            self.client.log_artifacts(self.run_id, scratch)
        listed = json.loads(self.client.get_run(self.run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if (own := {"path": file, "type": "table"}) not in listed:
            self.client.set_tag(self.run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*listed, own]))

    @_write.register
    def _(self, record: GridPicture) -> None:
        with tempfile.TemporaryDirectory(prefix="foldcam-grid-") as scratch:
            write_grid_picture(record, Path(scratch))
            self.client.log_artifacts(self.run_id, scratch)
        self.client.set_tag(self.run_id, MLFLOW_LOGGED_IMAGES, True)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value)[:PARAM_LENGTH] for key, value in values.items()}


def _entities(values: Mapping[str, float], step: int = 0, model_id: str | None = None) -> list[Metric]:
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
        raise ValueError(f"metrics must be finite numbers; these are not: {', '.join(bad)}")
    now = get_current_time_millis()
    return [Metric(name, float(value), now, step, model_id=model_id) for name, value in values.items()]

"""The one place that writes to MLflow."""

from __future__ import annotations

import json
import tempfile
import threading
import warnings
from collections.abc import Iterable, Mapping
from functools import singledispatchmethod
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_LOGGED_IMAGES

from tasks.tracking.calls import Batch, Call, Inputs, Point, TextFile, TrainedModel, Upload
from tasks.tracking.client import PatientClient
from tasks.tracking.moments import moments
from tasks.tracking.outbox import Head, Outbox, Parcel
from tasks.tracking.patience import Unreachable
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
    """Writes records to one run, or into its parcel in the outbox once the server cannot be reached.

    Parameters
    ----------
    tracking_uri : str
        MLflow's address.
    run_id : str
        The run that all records go to.
    head : Head, optional
        Which run that is; with it, what cannot be delivered waits on disk.
    client : MlflowClient, optional
        The store, where there is a client already.
    """

    def __init__(
        self, tracking_uri: str, run_id: str, head: Head | None = None, client: MlflowClient | None = None
    ) -> None:
        self.client = PatientClient(tracking_uri) if client is None else client
        self.run_id = run_id
        self._head = head
        self._parcel: Parcel | None = None if head is None else Outbox().find(head.key)
        self._model_id: str | None = None
        self._lock = threading.Lock()

    @property
    def waiting(self) -> bool:
        """Whether some of the run's content waits on disk, and all that comes goes there too."""
        return self._parcel is not None

    def write(self, records: Iterable[Record]) -> None:
        """Write the records: files in their order, then all data sets, tags, parameters and metrics in few calls.

        Raises
        ------
        ValueError
            A metric is not a finite number; no tag, parameter or metric is written then.
        Unreachable
            The server could not be reached, and the records cannot wait.
        """
        tags: dict[str, str] = {}
        params: dict[str, str] = {}
        points: list[Point] = []
        datasets: list[tuple[Mapping[str, str], str]] = []
        for record in records:
            if isinstance(record, Tags):
                tags |= record.values
            elif isinstance(record, Params):
                params = _texts(record.values) | params
            elif isinstance(record, Metrics):
                points += _points(record.values, record.step, record.timestamp)
            elif isinstance(record, Dataset):
                datasets.append((_dataset(record), record.context))
            elif isinstance(record, Model):
                points += _points(record.metrics, of_model=True)
                self._send(TrainedModel(record, _texts(record.params)))
            else:
                self._write(record)
        if datasets:
            self._send(Inputs(datasets))
        for batch in _batches(tags, params, points):
            self._send(batch)

    def _send(self, call: Call) -> None:
        with self._lock:
            if self._parcel is None:
                try:
                    self._model_id = call.send(self.client, self.run_id, self._model_id)
                    return
                except Unreachable:
                    if self._head is None:
                        raise
                    self._parcel = Outbox().parcel(self._head)
            self._parcel.add(call)

    @singledispatchmethod
    def _write(self, record: Record) -> None:
        raise TypeError(f"no way to write a {type(record).__name__}")

    @_write.register
    def _(self, record: File) -> None:
        self._send(Upload(record.path, record.folder))

    @_write.register
    def _(self, record: Folder) -> None:
        self._send(Upload(record.path, record.name))

    @_write.register
    def _(self, record: Text) -> None:
        self._send(TextFile(record.content, record.name))

    @_write.register
    def _(self, record: PictureTable) -> None:
        with tempfile.TemporaryDirectory(prefix="foldcam-table-") as scratch:
            file = write_table(record, Path(scratch))
            self._send(Upload(Path(scratch)))
        listed = json.loads(self.client.get_run(self.run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if (own := {"path": file, "type": "table"}) not in listed:
            self.client.set_tag(self.run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*listed, own]))

    @_write.register
    def _(self, record: GridPicture) -> None:
        with tempfile.TemporaryDirectory(prefix="foldcam-grid-") as scratch:
            write_grid_picture(record, Path(scratch))
            self._send(Upload(Path(scratch)))
        self._send(Batch(tags={MLFLOW_LOGGED_IMAGES: "True"}))


def _batches(tags: Mapping[str, str], params: Mapping[str, str], points: list[Point]) -> Iterable[Batch]:
    left_tags, left_params = list(tags.items()), list(params.items())
    while left_tags or left_params or points:
        own_tags, own_params = left_tags[:SMALL_BATCH], left_params[:SMALL_BATCH]
        room = BATCH - len(own_tags) - len(own_params)
        yield Batch(dict(own_tags), dict(own_params), points[:room])
        left_tags, left_params, points = left_tags[SMALL_BATCH:], left_params[SMALL_BATCH:], points[room:]


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value)[:PARAM_LENGTH] for key, value in values.items()}


def _points(
    values: Mapping[str, float], step: int = 0, timestamp: int | None = None, *, of_model: bool = False
) -> list[Point]:
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
        raise ValueError(f"metrics must be finite numbers; these are not: {', '.join(bad)}")
    now = moments.now() if timestamp is None else timestamp
    return [Point(name, float(value), now, step, of_model) for name, value in values.items()]


def _dataset(record: Dataset) -> Mapping[str, str]:
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
        return dict(dataset._to_mlflow_entity())

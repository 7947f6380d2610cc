"""What a run's records become: calls to the tracking server, each of which can be made again, and kept on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from tasks.tracking.logged_model import log_model, log_saved_model, save_apart
from tasks.tracking.records import Model
from tasks.tracking.uploads import send_folder

_FILES = "files"


@dataclass(frozen=True)
class Point:
    """One value of a metric; `of_model`: it belongs to the run's model too."""

    name: str
    value: float
    timestamp: int
    step: int = 0
    of_model: bool = False


@dataclass(frozen=True)
class Batch:
    """Tags, parameters and metrics, few enough for one call. Made twice, it leaves what it left the first time."""

    kind: ClassVar[str] = "batch"
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()

    def send(self, client: MlflowClient, run_id: str, model_id: str | None) -> str | None:
        """Make the call; give the model's id as it was."""
        client.log_batch(
            run_id,
            metrics=[
                Metric(own.name, own.value, own.timestamp, own.step, model_id=model_id if own.of_model else None)
                for own in self.points
            ],
            params=[Param(name, text) for name, text in self.params.items()],
            tags=[RunTag(name, text) for name, text in self.tags.items()],
        )
        return model_id

    def keep(self, _folder: Path) -> dict[str, Any]:
        """Give what is to be known to make the call later; files that it needs are put into `folder`."""
        return {"tags": dict(self.tags), "params": dict(self.params), "points": [asdict(own) for own in self.points]}

    @classmethod
    def kept(cls, fields: Mapping[str, Any], _folder: Path) -> Batch:
        """Give what was kept."""
        return cls(fields["tags"], fields["params"], [Point(**own) for own in fields["points"]])


@dataclass(frozen=True)
class Upload:
    """A file or a folder, put at the artifact folder `place`; a folder's content is put there, not the folder."""

    kind: ClassVar[str] = "upload"
    path: Path
    place: str | None = None

    def send(self, client: MlflowClient, run_id: str, model_id: str | None) -> str | None:
        """Make the call; give the model's id as it was."""
        if self.path.is_file():
            client.log_artifact(run_id, str(self.path), self.place)
        else:
            send_folder(self.path, partial(client.log_artifact, run_id), self.place)
        return model_id

    def keep(self, folder: Path) -> dict[str, Any]:
        """Give what is to be known to make the call later, with a copy of the files in `folder`."""
        if self.path.is_file():
            (folder / _FILES).mkdir()
            shutil.copyfile(self.path, folder / _FILES / self.path.name)
            return {"place": self.place, "file": self.path.name}
        shutil.copytree(self.path, folder / _FILES, copy_function=shutil.copyfile)
        return {"place": self.place, "file": ""}

    @classmethod
    def kept(cls, fields: Mapping[str, Any], folder: Path) -> Upload:
        """Give what was kept."""
        return cls(folder / _FILES / fields["file"] if fields["file"] else folder / _FILES, fields["place"])


@dataclass(frozen=True)
class TextFile:
    """A text as an artifact file."""

    kind: ClassVar[str] = "text"
    content: str
    name: str

    def send(self, client: MlflowClient, run_id: str, model_id: str | None) -> str | None:
        """Make the call; give the model's id as it was."""
        client.log_text(run_id, self.content, self.name)
        return model_id

    def keep(self, _folder: Path) -> dict[str, Any]:
        """Give what is to be known to make the call later."""
        return {"content": self.content, "name": self.name}

    @classmethod
    def kept(cls, fields: Mapping[str, Any], _folder: Path) -> TextFile:
        """Give what was kept."""
        return cls(fields["content"], fields["name"])


@dataclass(frozen=True)
class Inputs:
    """The data sets of a run, as MLflow's own dictionaries, each with its context."""

    kind: ClassVar[str] = "inputs"
    datasets: Sequence[tuple[Mapping[str, str], str]]

    def send(self, client: MlflowClient, run_id: str, model_id: str | None) -> str | None:
        """Make the call; give the model's id as it was."""
        inputs = [
            DatasetInput(Dataset(**own), tags=[InputTag("mlflow.data.context", context)])
            for own, context in self.datasets
        ]
        client.log_inputs(run_id, inputs)
        return model_id

    def keep(self, _folder: Path) -> dict[str, Any]:
        """Give what is to be known to make the call later."""
        return {"datasets": [[dict(own), context] for own, context in self.datasets]}

    @classmethod
    def kept(cls, fields: Mapping[str, Any], _folder: Path) -> Inputs:
        """Give what was kept."""
        return cls([(own, context) for own, context in fields["datasets"]])


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """The run's model."""

    kind: ClassVar[str] = "model"
    record: Model
    params: Mapping[str, str]

    def send(self, client: MlflowClient, run_id: str, _model_id: str | None) -> str | None:
        """Log the model; give its id."""
        return log_model(client, run_id, self.record, self.params)

    def keep(self, folder: Path) -> dict[str, Any]:
        """Give what is to be known to log the model later, with its files in `folder`."""
        save_apart(folder / _FILES, self.record)
        return {"params": dict(self.params)}

    @classmethod
    def kept(cls, fields: Mapping[str, Any], folder: Path) -> SavedModel:
        """Give what was kept."""
        return SavedModel(folder / _FILES, fields["params"])


@dataclass(frozen=True)
class SavedModel:
    """A run's model that was kept on disk."""

    folder: Path
    params: Mapping[str, str]

    def send(self, client: MlflowClient, run_id: str, _model_id: str | None) -> str | None:
        """Log the model; give its id."""
        return log_saved_model(client, run_id, self.folder, self.params)


Call = Batch | Upload | TextFile | Inputs | TrainedModel
KINDS = {own.kind: own for own in (Batch, Upload, TextFile, Inputs, TrainedModel)}


def write_call(call: Call, folder: Path) -> None:
    """Put a call into a folder that is there and empty."""
    fields = {"kind": call.kind, **call.keep(folder)}
    (folder / "call.json").write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")


def read_call(folder: Path) -> Batch | Upload | TextFile | Inputs | SavedModel:
    """Give the call that a folder holds."""
    fields = json.loads((folder / "call.json").read_text(encoding="utf-8"))
    return KINDS[fields.pop("kind")].kept(fields, folder)

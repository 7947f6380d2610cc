"""A place of its own to run experiments in: working folder, cache, MLflow store, and the command as a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

from tests.support.processes import ended

COMMAND = [sys.executable, "-P", "-m", "flows.cli"]


@dataclass(frozen=True)
class Studio:
    """A working folder with a cache of its own and a store at `tracking_uri`."""

    folder: Path
    tracking_uri: str
    prefect_api: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    """What stands before the command, so that it runs on another host."""

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.tracking_uri)

    @property
    def environment(self) -> dict[str, str]:
        own = {"FOLDCAM_HOME": str(self.folder / "cache"), "MLFLOW_TRACKING_URI": self.tracking_uri, "COLUMNS": "200"}
        return own | ({"PREFECT_API_URL": self.prefect_api} if self.prefect_api else {}) | self.variables

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Make this the working folder, the cache and the store of this process."""
        with pytest.MonkeyPatch.context() as patch:
            self.enter(patch)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(None)

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        """Do so until `patch` is undone: what a test changes by it as well is undone in the right order."""
        patch.chdir(self.folder)
        for name, value in self.environment.items():
            patch.setenv(name, value)
        mlflow.set_tracking_uri(self.tracking_uri)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command `foldcam` as a process of a session of its own, with pipes for its output."""
        return subprocess.Popen(
            [*self.before, *COMMAND, *arguments],
            cwd=self.folder,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def foldcam(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run the command `foldcam` to its end."""
        process = self.start(*arguments)
        with ended(process):
            out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def write(self, settings: Mapping[str, Any], name: str = "experiment.yaml") -> Path:
        """Write an experiment file."""
        file = self.folder / name
        file.write_text(yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True), encoding="utf-8")
        return file

    def runs(self, level: str | None = None, **tags: str) -> list[Any]:
        """Give the runs of all experiments, oldest first; only those of a level and with these `foldcam.` tags."""
        wanted = tags | ({"level": level} if level else {})
        query = " and ".join(f"tags.`foldcam.{key}` = '{value}'" for key, value in wanted.items())
        client = self.client
        experiments = [found.experiment_id for found in client.search_experiments()]
        return list(client.search_runs(experiments, query, order_by=["attributes.start_time ASC"], max_results=1000))


def make_studio(folder: Path, empty_store: Path, prefect_api: str = "", **variables: str) -> Studio:
    """Give a studio in `folder` with an SQLite store, copied from a made one since making one takes seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_store, folder / "mlflow.db")
    return Studio(folder, f"sqlite:///{folder / 'mlflow.db'}", prefect_api, variables)


def quick(data: Path | str, /, **changes: Any) -> dict[str, Any]:
    """Give the settings of a small experiment: N-CNN on 34 pixels, two folds, one epoch, one worker."""
    settings: dict[str, Any] = {
        "name": "quick",
        "data": {"path": str(data)},
        "folds": {"n_splits": 2},
        "backbones": {"ncnn": {"size": 34, "freeze": "none"}},
        "training": {"epochs": 1, "batch_size": 8},
        "explanation": {"max_images": 4, "contact_sheet_images": 3, "faithfulness_images": 0},
        "runner": {"workers": 1},
        "comparison": {"cost": False, "figures": ["png"]},
        "champion": {"enabled": False},
    }
    return settings | changes


def one_json(text: str) -> dict[str, Any]:
    """Read a text that must be one JSON object and nothing else."""
    value = json.loads(text)
    assert isinstance(value, dict)
    return value

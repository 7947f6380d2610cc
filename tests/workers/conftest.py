from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tasks.config import Experiment, merged
from tasks.dataset.folds.assignment import assign_folds
from tasks.dataset.manifest import read_manifest
from tasks.workers.plan import make_plan
from tasks.workers.pool import WorkerPool
from tests.support.images import write_classes
from tests.support.light_worker import PROGRAM
from tests.support.studio import quick


@pytest.fixture(scope="session")
def planned():
    """Give a function that makes the plan of a small experiment on a folder of images."""

    def make(data: Path, cache: Path, /, **changes):
        settings = Experiment.model_validate(merged(quick(data), changes))
        manifest = read_manifest(settings.data)
        return make_plan(settings, manifest, assign_folds(manifest, settings.folds, seed=settings.seed), cache)

    return make


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """Two classes of tiny images; not to be written to."""
    return write_classes(tmp_path_factory.mktemp("images") / "data", {"across": 8, "down": 8})


@pytest.fixture(scope="session")
def pool():
    """Two real worker processes for all tests of this folder: each costs seconds to start."""
    with WorkerPool([{}, {"FOLDCAM_TEST_SLOT": "1"}], threads=1, deterministic=True) as workers:
        yield workers


@pytest.fixture
def light_worker(tmp_path, monkeypatch) -> None:
    """Workers that start now load nothing; they know the orders of `tests/support/light_worker.py`."""
    program = tmp_path / "python"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.fixture(scope="session")
def store(tmp_path_factory, empty_store) -> str:
    """The address of an MLflow store with artifacts beside it."""
    file = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    shutil.copy(empty_store, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def new_run(store, tmp_path_factory):
    """Give a function that starts an MLflow run and gives its id."""
    client = MlflowClient(store)
    experiment = client.create_experiment("workers", str(tmp_path_factory.mktemp("artifacts")))
    return lambda: client.create_run(experiment).info.run_id

from __future__ import annotations

import shutil

import mlflow
import pytest
from mlflow import MlflowClient

from tasks.tracking.runs import Runs


@pytest.fixture
def uri(tmp_path, empty_store) -> str:
    """The address of an empty MLflow store of the test's own, which is this process's too."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(address)
    return address


@pytest.fixture
def client(uri) -> MlflowClient:
    return MlflowClient(uri)


@pytest.fixture
def runs(client, tmp_path) -> Runs:
    """The runs of an MLflow experiment called `study`."""
    return Runs(client, client.create_experiment("study", (tmp_path / "artifacts").as_uri()))


@pytest.fixture
def run_id(runs) -> str:
    return runs.start("fold", "ncnn/0", parent=None, tags={})

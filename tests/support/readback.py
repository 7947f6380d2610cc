"""Reading a run's artifacts back from MLflow, whatever lies between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient


def artifact(client: MlflowClient, run: Any, path: str) -> Path:
    """Give a local copy of an artifact."""
    return Path(client.download_artifacts(run.info.run_id, path))


def text(client: MlflowClient, run: Any, path: str) -> str:
    """Give the text of an artifact."""
    return artifact(client, run, path).read_text(encoding="utf-8")


def table(client: MlflowClient, run: Any, path: str) -> pd.DataFrame:
    """Give the table in an artifact."""
    return pd.read_parquet(artifact(client, run, path))


def tree(client: MlflowClient, run: Any, path: str | None = None) -> list[str]:
    """Give the paths of all artifacts of a run."""
    found: list[str] = []
    for entry in client.list_artifacts(run.info.run_id, path):
        found += tree(client, run, entry.path) if entry.is_dir else [entry.path]
    return found


def probabilities(frame: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """Give the probabilities of a predictions table, a column a class."""
    return frame[[f"prob/{label}" for label in classes]].to_numpy()

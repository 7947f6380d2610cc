"""What MLflow has of an experiment that `foldcam run` has done."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from mlflow import MlflowClient


def probabilities(tracking_uri: str, run_ids: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Give `<backbone>/probabilities` of each backbone's fold run, by the images' paths."""
    client = MlflowClient(tracking_uri)
    tables = {
        name: pd.read_parquet(client.download_artifacts(run_id, "predictions.parquet")).sort_values("path")
        for name, run_id in run_ids.items()
    }
    return {
        f"{name}/probabilities": table[[column for column in table if column.startswith("prob/")]].to_numpy()
        for name, table in tables.items()
    }


def seconds_by_step(tracking_uri: str, run_ids: list[str]) -> dict[str, float]:
    """Give the mean seconds of the fold runs, by step."""
    client = MlflowClient(tracking_uri)
    found = pd.DataFrame([client.get_run(run_id).data.metrics for run_id in run_ids]).filter(like="seconds/")
    return {name.removeprefix("seconds/"): round(value, 3) for name, value in found.mean().items()}


def ends_and_losses(tracking_uri: str, run_ids: Mapping[int, str]) -> tuple[list[float], dict[int, float]]:
    """Give when the runs ended, in seconds and ascending, and the log loss of each fold's test images."""
    client = MlflowClient(tracking_uri)
    runs = {fold: client.get_run(run_id) for fold, run_id in run_ids.items()}
    ends = sorted(run.info.end_time / 1000 for run in runs.values())
    return ends, {fold: run.data.metrics["test/log_loss"] for fold, run in runs.items()}

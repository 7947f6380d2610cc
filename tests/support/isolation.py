"""Imported before anything else: nothing of the user's is read or written, nothing is sent anywhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

SCRATCH = Path(tempfile.mkdtemp(prefix="foldcam-tests-"))
"""Where everything lies that a test does not put into a place of its own; deleted at the end."""

ADDRESSES = ("FOLDCAM_HOME", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME")
"""Variables that say where everything is kept."""

for _inherited in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE"):
    os.environ.pop(_inherited, None)
os.environ.update(
    FOLDCAM_HOME=str(SCRATCH / "foldcam"),
    PREFECT_HOME=str(SCRATCH / "prefect"),
    KERAS_HOME=str(SCRATCH / "keras"),
    MLFLOW_TRACKING_URI=f"sqlite:///{SCRATCH / 'mlflow.db'}",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_LOGGING_LEVEL="WARNING",
    PREFECT_RUNNER_POLL_FREQUENCY="2",
    PREFECT_WORKER_QUERY_SECONDS="2",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    TF_CPP_MIN_LOG_LEVEL="3",
    CUDA_VISIBLE_DEVICES="-1",
)

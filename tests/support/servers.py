"""A real MLflow server, as a team has it: SQLite behind HTTP, artifacts through the server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.runners import end_process, free_port, wait_for
from tests.support.hosts import Host


@contextmanager
def mlflow_over_http(folder: Path, store: str, on: Host | None = None) -> Iterator[str]:
    """Run MLflow's server over the store at the URI `store` while the block lasts; give its address."""
    address, port = "127.0.0.1" if on is None else on.address, free_port()
    before = [] if on is None else on.on(folder)
    command = [*before, sys.executable, "-P", "-m", "mlflow", "server", "--host", address, "--port", str(port)]
    command += ["--backend-store-uri", store, "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for(f"http://{address}:{port}/health", process, "MLflow's server")
            yield f"http://{address}:{port}"
        finally:
            end_process(process)

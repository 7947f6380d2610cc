"""Real servers: each is a process, and lasts as long as a test needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.runners import end_process, free_port, wait_for
from tests.support.hosts import Host


@contextmanager
def running(
    command: Sequence[str], folder: Path, url: str, what: str, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a folder while the block lasts, which begins when `url` answers; it writes to `server.log`."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(url, process, what)
        yield process
    finally:
        end_process(process)


@contextmanager
def mlflow_over_http(folder: Path, store: str, on: Host | None = None) -> Iterator[str]:
    """Run MLflow's server as a team has it: over the store at the URI `store`, artifacts through it; give its address.

    It runs on this machine, or on the host `on`.
    """
    address, port = "127.0.0.1" if on is None else on.address, free_port()
    command = [*_before(on, folder), "mlflow", "server", "--host", address, "--port", str(port)]
    command += ["--backend-store-uri", store, "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    url = f"http://{address}:{port}"
    with running(command, folder, f"{url}/health", "MLflow's server", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"):
        yield url


@contextmanager
def prefect_by_hand(folder: Path, on: Host | None = None, **variables: str) -> Iterator[str]:
    """Run `prefect server start`, here or on the host `on`, while the block lasts; give its API's address."""
    address, port = "127.0.0.1" if on is None else on.address, free_port()
    command = [*_before(on, folder), "prefect", "server", "start", "--no-ui", "--host", address, "--port", str(port)]
    url = f"http://{address}:{port}/api"
    with running(command, folder, f"{url}/health", "Prefect's server", **variables):
        yield url


def _before(on: Host | None, folder: Path) -> list[str]:
    return [*([] if on is None else on.on(folder)), sys.executable, "-P", "-m"]

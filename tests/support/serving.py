"""A model behind HTTP, as `mlflow models serve` puts it there."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from flows.runners import free_port
from tests.support.servers import running

_STRAIGHT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Served:
    """A server with a model."""

    address: str
    process: subprocess.Popen[bytes]

    def post(self, body: Mapping[str, Any], timeout: float = 120) -> tuple[int, Any]:
        """Give the status and what was answered, as JSON where it is."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/invocations", json.dumps(body).encode(), headers)
        try:
            with _STRAIGHT.open(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as fault:
            return fault.code, json.loads(fault.read())

    def memory(self) -> float:
        """Give what the server and all its processes hold, in MB."""
        processes = [psutil.Process(self.process.pid)]
        processes += processes[0].children(recursive=True)
        return sum(process.memory_info().rss for process in processes) / 1e6


@contextmanager
def served_model(model: str, tracking_uri: str, folder: Path) -> Iterator[Served]:
    """Serve a model while the block lasts."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"MLFLOW_TRACKING_URI": tracking_uri, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, f"{url}/ping", "MLflow's scoring server", **own) as process:
        yield Served(url, process)


def in_base64(picture: np.ndarray | bytes) -> str:
    """Give an image as the text that is sent: a PNG file, or whatever bytes are given."""
    if isinstance(picture, bytes):
        return base64.b64encode(picture).decode()
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()

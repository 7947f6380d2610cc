"""The most memory that a command held."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.peaks import INTERVAL, memory_of


def peaks_of(command: list[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """Run a command; gives its peak `private` and `resident` memory in MB, and the `images` of its JSON."""
    highest = {"private": 0.0, "resident": 0.0}
    with Path("answer.json").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(command, env=os.environ | dict(variables), stdout=out)
        while process.poll() is None:
            with suppress(OSError, psutil.Error):
                highest = {kind: max(highest[kind], value) for kind, value in memory_of(process.pid).items()} or highest
            time.sleep(INTERVAL)
        if process.returncode:
            raise RuntimeError(f"the command ended with {process.returncode}")
        out.seek(0)
        return highest | {"images": json.load(out)["n_images"]}

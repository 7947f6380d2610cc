"""How many workers this machine takes, and which GPU each of them sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import psutil

from tasks.config import Runner

WORKER_GB = 3.0
"""Memory to set aside for one worker (what a large backbone trained whole takes at batch 16, by measurement)."""


def slots(runner: Runner) -> list[dict[str, str]]:
    """Give the environment of each worker: one a GPU, else as many as the cores and the memory allow."""
    gpus = _gpus()
    if gpus:
        count = len(gpus) if runner.workers == "auto" else runner.workers
        return [{"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} for slot in range(count)]
    if runner.workers != "auto":
        return [{} for _ in range(runner.workers)]
    cores = len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else os.cpu_count() or 1
    room = psutil.virtual_memory().available / 1e9 / WORKER_GB
    return [{} for _ in range(max(1, min(cores // runner.threads_per_worker, int(room))))]


def _gpus() -> list[str]:
    """Give the numbers of the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30)
    return re.findall(r"^GPU (\d+):", found.stdout, re.MULTILINE)

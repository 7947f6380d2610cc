"""Checks what can compute: the cores, the GPUs that the driver names, and those that TensorFlow can use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.care.findings import Finding
from tasks.config import Experiment
from tasks.workers.machine import machine

LIMIT = 300
"""Seconds that TensorFlow may take to load and to build an experiment's backbones."""


@dataclass(frozen=True)
class Seen:
    """What a process with TensorFlow loaded has seen.

    Attributes
    ----------
    gpus : sequence of str
        The GPUs that TensorFlow can use, by name.
    sizes : mapping of str to dict
        By backbone, the fields of `tasks.training.sizes.Sizes`.
    fault : str
        Why there is nothing of that; empty otherwise.
    """

    gpus: Sequence[str] = ()
    sizes: dict[str, dict[str, Any]] = field(default_factory=dict)
    fault: str = ""


def ask_tensorflow(experiment: Experiment | None, n_images: int = 0, n_outputs: int = 2) -> Seen:
    """Let a process of its own load TensorFlow, name its devices and build an experiment's backbones."""
    settings = None if experiment is None else experiment.model_dump(mode="json")
    question = {"experiment": settings, "n_images": n_images, "n_outputs": n_outputs}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tasks.care.measured"],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"},
        )
        return Seen(**json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return Seen(fault=f"it took longer than {LIMIT} seconds")
    except (IndexError, ValueError, TypeError):
        words = [line for line in done.stderr.splitlines() if line.strip()]
        return Seen(fault=words[-1][:300] if words else f"exit code {done.returncode}")


def check_devices(seen: Seen | None) -> list[Finding]:
    """Find what can compute; without `seen` TensorFlow was not asked."""
    found = [Finding("devices.cpu", "ok", machine())]
    named, fault = gpus_of_the_driver()
    if fault:
        mend = "See what `nvidia-smi` says; reload or reinstall the driver"
        found.append(Finding("devices.driver", "fault", f"nvidia-smi fails: {fault}", mend))
    if seen is None:
        return found
    if seen.fault:
        mend = "Try `python -c 'import tensorflow'`; `make install` makes .venv anew after `make clean`"
        return [*found, Finding("devices.tensorflow", "fault", f"TensorFlow does not load: {seen.fault}", mend)]
    if named and not seen.gpus and os.environ.get("CUDA_VISIBLE_DEVICES") in (None, *map(str, range(len(named)))):
        said = f"the driver has {', '.join(named)}, and TensorFlow uses none"
        mend = "`make gpu` exchanges TensorFlow's CPU build for the CUDA one"
        return [*found, Finding("devices.gpu", "warning", said, mend)]
    said = f"TensorFlow uses {', '.join(seen.gpus)}" if seen.gpus else "TensorFlow uses the CPU; there is no GPU for it"
    return [*found, Finding("devices.gpu", "ok", said)]


def gpus_of_the_driver() -> tuple[list[str], str]:
    """Give the GPUs that nvidia-smi names, and why it cannot; nothing of both where there is no nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return [], ""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as fault:
        return [], str(fault)
    lines = [line.strip() for line in (found.stdout or found.stderr).splitlines() if line.strip()]
    return (lines, "") if found.returncode == 0 else ([], lines[0] if lines else f"exit code {found.returncode}")

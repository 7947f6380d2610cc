"""What a backbone costs once it is trained, in a worker: its size, its work and its speed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tasks.backbones.speed import device_name, images_per_second
from tasks.explanation.effort import multiply_adds
from tasks.workers.fold_run import workshop
from tasks.workers.order import Order, read_material
from tasks.workers.workshop import Emit

BATCH_SIZES = (1, 32)


def measure_cost(order: Order, _emit: Emit) -> dict[str, Any]:
    """Measure a backbone's whole network, from pixels to probabilities.

    Returns
    -------
    dict
        `figures`: `parameters`; `gflops` of one image's forward pass, a multiplication and an addition counted as two;
        `model_mb` of the file as fold runs log it; `images_per_second_N` in batches of N. `device`: what it ran on.

    Raises
    ------
    InputError
        The size or another setting cannot be used.
    """
    model = workshop.model(read_material(order), order.backbone)
    speeds = images_per_second(model, BATCH_SIZES)
    figures = {
        "parameters": model.count_params(),
        "gflops": 2 * multiply_adds(model) / 1e9,
        "model_mb": _size_on_disk(model) / 1e6,
        **{f"images_per_second_{size}": speed for size, speed in speeds.items()},
    }
    return {"figures": figures, "device": device_name()}


def _size_on_disk(model: Any) -> int:
    with tempfile.TemporaryDirectory(prefix="foldcam-cost-") as scratch:
        file = Path(scratch, "network.keras")
        model.save(file)
        return file.stat().st_size

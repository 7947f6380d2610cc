"""What each level of runs holds, as records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks.config import Preprocessing
from tasks.dataset.targets import Targets
from tasks.tracking.records import File, Folder, Metrics, Model, Params, Record


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Give nested settings as one level, `training.epochs` and so on; lists as text."""
    out: dict[str, object] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            out |= flattened(value, f"{name}.")
        else:
            out[name] = value
    return out


def fold_content(
    folder: Path,
    *,
    metrics: Mapping[str, float],
    explained: Mapping[str, float],
    seconds: Mapping[str, float],
    peak_memory_mb: float | None,
    params: Mapping[str, object],
    targets: Targets,
    thresholds: list[float],
    preprocessing: Preprocessing,
    size: int,
    example: np.ndarray,
) -> Iterator[Record]:
    """Give a finished fold run's content; all files lie in `folder` as DESIGN names them.

    Parameters
    ----------
    folder : Path
        Holds `network.keras`, tables, `plots/` and perhaps `explanations/`.
    metrics : mapping of str to float
        Test metrics, logged as `test/<name>`; the model's page shows them too.
    explained : mapping of str to float
        How far its explanations can be believed, by the metrics' full names.
    seconds : mapping of str to float
        Seconds by step, logged as `seconds/<step>`.
    peak_memory_mb : float or None
        The most memory that the worker held; None where it is unknown.
    params : mapping
        Settings of the fold run, and of the model.
    targets, thresholds, preprocessing, size
        What the served model needs; see `Model`.
    example : ndarray of shape (n, h, w, 3), uint8
        Input example of the model.
    """
    yield Params(params)
    for table in (*(f"{part}predictions.parquet" for part in ("", "holdout_", "validation_")), "history.csv"):
        if (folder / table).exists():
            yield File(folder / table)
    for part in ("plots", "explanations"):
        if (folder / part).exists():
            yield Folder(folder / part, part)
    scores = {f"test/{name}": value for name, value in metrics.items()}
    yield Metrics(explained)
    network = folder / "network.keras"
    yield Model(network, targets, thresholds, preprocessing, size, example, params, scores)
    if peak_memory_mb is not None:
        yield Metrics({"cost/peak_memory_mb": peak_memory_mb})
    yield Metrics({f"seconds/{name}": value for name, value in seconds.items()})


def photograph_content(folder: Path, params: Mapping[str, object], seconds: Mapping[str, float]) -> Iterator[Record]:
    """Give what a backbone's run on photographs without labels holds; all files lie in `folder`."""
    yield Params(params)
    for table in ("predictions.parquet", "predictions.csv"):
        yield File(folder / table)
    yield Folder(folder / "explanations", "explanations")
    yield Metrics({f"seconds/{name}": value for name, value in seconds.items()})

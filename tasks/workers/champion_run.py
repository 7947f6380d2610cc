"""What a champion needs of a worker, since it needs TensorFlow: its networks written, and its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tasks.dataset.listed_image import open_listed
from tasks.dataset.manifest import Manifest
from tasks.tracking.champion_log import load_champion
from tasks.tracking.network_files import write_networks
from tasks.workers.order import Order, read_material
from tasks.workers.workshop import Emit

BATCH = 32


def write_champion(order: Order, _emit: Emit) -> dict[str, Any]:
    """Write a backbone's fold models into one folder.

    `order.details` holds `files`, the fold models' Keras files in the order of the folds, and `folder`.

    Returns
    -------
    dict
        `bytes`: how many were written.
    """
    files = [Path(file) for file in order.details["files"]]
    return {"bytes": write_networks(files, Path(order.details["folder"]), order.backbone)}


def ask_champion(order: Order, emit: Emit) -> dict[str, Any]:
    """Let a champion predict images of the data, each opened as it says itself.

    `order.details` holds `model`, the folder of a champion; `paths`, a file with the column `path`; and `out`, the
    file for the answers, in the same order.

    Returns
    -------
    dict
        `images`: how many were predicted.

    Raises
    ------
    ImageChanged
        An image cannot be read any more, or is another one.
    """
    material = read_material(order)
    paths = pd.read_parquet(order.details["paths"])["path"].tolist()
    answers = _answers(Path(order.details["model"]), material.manifest, paths, emit)
    answers.to_parquet(order.details["out"], index=False)
    return {"images": len(paths)}


def _answers(model: Path, manifest: Manifest, paths: list[str], emit: Emit) -> pd.DataFrame:
    champion = load_champion(model)
    parts: list[pd.DataFrame] = []
    for start in range(0, len(paths), BATCH):
        images = [open_listed(manifest, path) for path in paths[start : start + BATCH]]
        parts.append(champion.predict(images))
        emit({"state": "asking", "done": start + len(images), "total": len(paths)})
    return pd.concat(parts, ignore_index=True)

"""What a champion needs of a worker, since it needs TensorFlow: its networks written, and its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tasks.config import InputError
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import ImageError
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
    InputError
        An image cannot be read any more.
    """
    material = read_material(order)
    paths = pd.read_parquet(order.details["paths"])["path"].tolist()
    ground = material.experiment.data.preprocessing.transparency_color
    answers = _answers(Path(order.details["model"]), material.manifest.root, paths, ground, emit)
    answers.to_parquet(order.details["out"], index=False)
    return {"images": len(paths)}


def _answers(model: Path, root: Path, paths: list[str], ground: Any, emit: Emit) -> pd.DataFrame:
    champion = load_champion(model)
    parts: list[pd.DataFrame] = []
    for start in range(0, len(paths), BATCH):
        images = [_opened(root, path, ground) for path in paths[start : start + BATCH]]
        parts.append(champion.predict(images))
        emit({"state": "asking", "done": start + len(images), "total": len(paths)})
    return pd.concat(parts, ignore_index=True)


def _opened(root: Path, path: str, ground: Any) -> Any:
    try:
        return open_image(root, path, ground)
    except ImageError as fault:
        raise InputError(f"{root / path} could be read before and cannot be now: {fault}. Run again.") from fault

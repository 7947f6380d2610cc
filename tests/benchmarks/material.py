"""Real images and experiments on them. Light: TensorFlow is not loaded here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.config import Experiment
from tasks.dataset.folds.assignment import assign_folds
from tasks.dataset.manifest import read_manifest
from tasks.workers.order import Order
from tasks.workers.plan import Plan, make_plan


def write_images(folder: Path, n: int, size: int) -> Path:
    """Write n pictures of size × size pixels, half of them faces: scikit-image's patches, enlarged.

    There are 200 patches; beyond that come variants, mirrored, moved and brightened by seed, each another picture.
    """
    for number, pixels in enumerate(variants(n)):
        target = folder / ("face" if number % 2 == 0 else "other") / f"{number:06d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pixels)
        if size != picture.width:
            picture = picture.resize((size, size), Image.Resampling.BICUBIC)
        picture.save(target, compress_level=1)
    return folder


def variants(n: int) -> Iterator[np.ndarray]:
    """Yield n pictures of 25 × 25 pixels, faces and others in turn, of shape (25, 25, 3), uint8; see `write_images`."""
    from skimage.data import lfw_subset

    patches = np.rint(lfw_subset() * 255).astype(np.uint8)
    for number in range(n):
        patch = _variant(patches[(number // 2) % 100 + 100 * (number % 2)], number // 200)
        yield np.repeat(patch[:, :, None], 3, axis=2)


def pictures(n: int, size: int) -> np.ndarray:
    """Give n of the patches, faces and others in turn, enlarged, of shape (n, size, size, 3), uint8."""
    from skimage.data import lfw_subset

    patches = np.rint(lfw_subset() * 255).astype(np.uint8)
    chosen = [patches[number // 2 + (0 if number % 2 == 0 else 100)] for number in range(n)]
    large = [Image.fromarray(patch).convert("RGB").resize((size, size), Image.Resampling.BICUBIC) for patch in chosen]
    return np.stack([np.asarray(image) for image in large])


def _variant(patch: np.ndarray, number: int) -> np.ndarray:
    if number == 0:
        return patch
    draw = np.random.default_rng(number)
    moved = np.roll(patch[:, :: 1 - 2 * (number % 2)], draw.integers(-3, 4, 2), axis=(0, 1)).astype(np.int16)
    return np.clip(moved + draw.integers(-40, 41) + draw.integers(-4, 5, patch.shape), 0, 255).astype(np.uint8)


def settings(data: Path, /, **changes: Any) -> dict[str, Any]:
    """Give the settings of an experiment: five folds, five epochs, all test images explained."""
    own: dict[str, Any] = {
        "name": "benchmark",
        "data": {"path": str(data)},
        "folds": {"n_splits": 5},
        "model": {"size": 96, "freeze": "base"},
        "training": {"epochs": 5},
        "explanation": {"max_images": None},
    }
    return own | changes


def plan_of(values: dict[str, Any], cache: Path) -> Plan:
    """Give an experiment's plan with its tables written."""
    experiment = Experiment.model_validate(values)
    manifest = read_manifest(experiment.data)
    plan = make_plan(experiment, manifest, assign_folds(manifest, experiment.folds, seed=experiment.seed), cache)
    plan.write()
    return plan


def order_of(values: dict[str, Any], cache: Path, backbone: str, fold: int = 0) -> Order:
    """Give the order for a fold run, without a run to log to."""
    return plan_of(values, cache).order("fold", (backbone, fold))

"""A gallery's table with pictures and maps, of any size, that are quick to make."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from tests.support.images import picture

CLASSES = ("cat", "dog", "owl", "süßer Fuchs")


def example_rows(
    n_images: int, backbones: tuple[str, ...] = ("vgg16",), methods: tuple[str, ...] = ("gradcam",), n_folds: int = 5
) -> pd.DataFrame:
    """Give one row an image, backbone and method: three of four are right, with confidences all over the range."""
    rng = np.random.default_rng(n_images)
    true = rng.integers(0, len(CLASSES), n_images)
    rows = []
    for backbone, image in product(backbones, range(n_images)):
        predicted = true[image] if rng.random() < 0.75 else rng.integers(0, len(CLASSES))
        card = {
            "image": f"{CLASSES[true[image]]}/{image:05d}.png",
            "backbone": backbone,
            "fold": image % n_folds,
            "true": CLASSES[true[image]],
            "predicted": CLASSES[predicted],
            "probability": round(float(rng.uniform(0.3, 1)), 4),
            "right": bool(predicted == true[image]),
        }
        rows += [card | {"method": method} for method in methods]
    return pd.DataFrame(rows)


_STRIPES = [picture(kind, seed, (120, 150)) for kind in range(len(CLASSES)) for seed in range(8)]


def example_picture(name: str) -> np.ndarray:
    """Give the picture of an image of `example_rows`."""
    kind, number = CLASSES.index(name.split("/")[0]), int(name.split("/")[1].split(".")[0])
    return _STRIPES[8 * kind + number % 8]


def example_map(row: int) -> np.ndarray:
    """Give a map of 14 × 14 with one bump whose place goes by the row."""
    rows, columns = np.mgrid[:14, :14]
    top, left = row % 14, row // 14 % 14
    return np.exp(-((rows - top) ** 2 + (columns - left) ** 2) / 18).astype(np.float32)

"""Small folders of images that even a tiny net can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(kind: int, seed: int, size: tuple[int, int] = (40, 32)) -> np.ndarray:
    """Give an RGB picture of (height, width): stripes whose direction and colour follow from `kind`, and noise."""
    height, width = size
    rng = np.random.default_rng([kind, seed])
    rows, columns = np.mgrid[:height, :width]
    wave = np.sin((rows if kind % 2 else columns) * (0.6 + 0.3 * kind) + rng.uniform(0, 6))
    tint = np.roll([1.0, 0.35, 0.1], kind)
    pixels = 110 + 90 * wave[:, :, None] * tint + 40 * tint + rng.normal(0, 12, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_classes(folder: Path, counts: Mapping[str, int], *, seed: int = 0, size: tuple[int, int] = (40, 32)) -> Path:
    """Write a class folder a label with images 000.png, 001.png, …; gives `folder`."""
    for kind, (label, count) in enumerate(sorted(counts.items())):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(kind, seed * 10_000 + number, size)).save(folder / label / f"{number:03d}.png")
    return folder

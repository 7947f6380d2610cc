from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import Targets


@pytest.fixture
def paint():
    """Write a small image whose pixels follow from the seed, and return its path."""

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def table_of():
    """Make a manifest without files: one dict an image, with label and what else matters."""

    def make(rows: list[dict], classes: tuple[str, ...] | None = None, targets: Targets | None = None) -> Manifest:
        columns = {
            name: pd.Series([row.get(name) for row in rows], dtype=object)
            for name in ("path", "label", "group", "split", "fold", "sha256")
        }
        table = pd.DataFrame(columns)
        for number, row in enumerate(rows):
            if row.get("path") is None:
                table.loc[number, "path"] = f"{row['label']}/{number:05d}.png"
            if row.get("sha256") is None:
                table.loc[number, "sha256"] = f"{number:064x}"
        table["width"], table["height"], table["declared_group"] = 8, 6, table["group"]
        table = table.sort_values("path", ignore_index=True)
        targets = targets or Targets(tuple(classes or sorted(set(table["label"]))))
        return Manifest(table, Path("/data"), targets, pd.DataFrame({"path": [], "reason": [], "code": []}))

    return make

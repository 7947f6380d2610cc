"""Made evidence with pictures in its folder, further columns in its manifest, and maps of some images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tasks.comparison.evidence import Evidence
from tasks.dataset.manifest import DECLARED, EXTRA
from tasks.explanation.fold_pictures import overlay_names
from tasks.explanation.map_files import StoredMaps, write_maps
from tests.support.made_evidence import made_picture

MAPPED = (250, 10, 10)
"""The colour of every overlay."""


def pictured(evidence: Evidence, corrections: Sequence[Any] = (), **extra: Any) -> Evidence:
    """Give the evidence with an 8 × 8 picture of each image, and columns `extra.NAME` of these values."""
    manifest = evidence.plan.manifest
    for number, path in enumerate(manifest.table["path"]):
        Image.fromarray(made_picture(number)).save(manifest.root / path)
    columns = {EXTRA + name: pd.Series(list(values), dtype=object) for name, values in extra.items()}
    table = manifest.table.assign(**{DECLARED: manifest.table["group"]}, **columns)
    told = replace(manifest, table=table, corrections=tuple(corrections))
    return Evidence(replace(evidence.plan, manifest=told), evidence.results, evidence.fetch, evidence.costs)


def write_explained(evidence: Evidence, backbone: str, fold: int, classes: dict[str, int]) -> None:
    """Log an overlay and a map for a class of some test images of a fold run, by Grad-CAM."""
    plan = evidence.plan
    folder = plan.manifest.root / f"{backbone}-{fold}" / "explanations" / "gradcam"
    names = dict(zip(plan.manifest.table["path"], overlay_names(plan.manifest, plan.experiment), strict=True))
    for path in classes:
        for side in ("right", "wrong"):
            file = folder / side / names[path]
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), MAPPED).save(file)
    maps = np.tile(np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 3), (len(classes), 1, 1))
    numbers = np.array(list(classes.values()), dtype=np.int64)
    write_maps(folder / "maps.npz", StoredMaps("gradcam", "layer", np.array(list(classes)), numbers, maps))

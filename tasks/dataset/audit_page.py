"""The audit as a page: counts, findings and sample pictures, in one HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.dataset.addresses import open_image
from tasks.dataset.images import ImageError
from tasks.dataset.manifest import Manifest

SAMPLES = 8
"""Pictures a class."""
CLASSES_SHOWN = 60
"""The most classes with pictures."""
SIDE = 112
"""The longer side of a sample picture in pixels, at most."""


def render(facts: dict[str, Any], manifest: Manifest) -> str:
    """Return the page.

    Parameters
    ----------
    facts
        From `Audit.to_json`.
    manifest
        Where the sample pictures are taken from: evenly spread over each class, so that the choice is always the same.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    samples = {label: list(_samples(manifest, label)) for label in manifest.classes[:CLASSES_SHOWN]}
    largest_cell = max((count for column in facts["folds"].values() for count in column.values()), default=0)
    return environment.get_template("audit_page.html.j2").render(
        facts,
        samples=samples,
        n_classes_left=len(manifest.classes) - len(samples),
        largest_class=max(facts["classes"].values(), default=0) or 1,
        largest_cell=largest_cell or 1,
    )


def _samples(manifest: Manifest, label: str) -> Iterator[tuple[str, str]]:
    paths = manifest.table["path"][manifest.table["label"] == label].tolist()
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(SAMPLES, len(paths))).round().astype(int))
    for place in chosen:
        try:
            yield paths[place], _data_uri(manifest.root, paths[place])
        except ImageError:
            continue


def _data_uri(root: Path, address: str) -> str:
    image = Image.fromarray(open_image(root, address))
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

"""The audit as a page: counts, findings and pictures, in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.dataset.audit.class_counts import class_members
from tasks.dataset.audit.size_chart import size_chart
from tasks.dataset.audit.thumbnails import thumbnails
from tasks.dataset.manifest import Manifest
from tasks.dataset.pages import page_template

SAMPLES = 8
"""Pictures a class."""
CLASSES_SHOWN = 60
"""The most classes with pictures."""
SHOWN = 6
"""Pictures a finding."""


def render(facts: dict[str, Any], manifest: Manifest) -> str:
    """Return the page.

    Parameters
    ----------
    facts
        From `Audit.to_json`.
    manifest
        Where the pictures are taken from: samples are spread evenly over each class, so that the choice is always the
        same.
    """
    samples = _samples(manifest)
    in_manifest = set(manifest.table["path"])
    concerned = [
        [path for path in _spread(finding["images"], SHOWN) if path in in_manifest] for finding in facts["findings"]
    ]
    pairs = facts["near_duplicates"]
    in_pairs = [pair[side]["path"] for pair in pairs for side in ("first", "second")]
    wanted = [path for paths in (*samples.values(), *concerned) for path in paths] + in_pairs
    folds = [name for name in facts["folds"] if name != "holdout"]
    n_splits = len(folds) // facts["n_repeats"]
    others = [name for name in facts["folds"] if name == "holdout"]
    largest_cell = max((count for column in facts["folds"].values() for count in column.values()), default=0)
    return page_template(Path(__file__).with_name("page.html.j2")).render(
        facts,
        tables=[folds[first : first + n_splits] + others for first in range(0, len(folds), n_splits or 1)],
        pictures=thumbnails(manifest, wanted),
        samples=samples,
        concerned=concerned,
        sizes=size_chart(facts["image_sizes"]),
        n_classes=len(manifest.classes),
        n_classes_left=len(manifest.classes) - min(len(manifest.classes), CLASSES_SHOWN),
        largest_class=max(facts["classes"].values(), default=0) or 1,
        largest_cell=largest_cell or 1,
    )


def _samples(manifest: Manifest) -> dict[str, list[str]]:
    """Return some images of each class; where images have several labels, of each label and of those without."""
    members = class_members(manifest)
    shown = [*manifest.classes[:CLASSES_SHOWN], *(label for label in members if label not in manifest.classes)]
    paths = manifest.table["path"]
    return {label: _spread(paths[members[label]].tolist(), SAMPLES) for label in shown}


def _spread(paths: Sequence[str], most: int) -> list[str]:
    """Return at most so many of the paths, evenly spread."""
    places = np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int))
    return [paths[place] for place in places]

"""The images of a run as MLflow shows them: all of an experiment, and those that a fold run trained and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pandas as pd

from tasks.dataset.sources.mirror import address_of
from tasks.tracking.records import Dataset
from tasks.workers.plan import Plan

COLUMNS = ["path", "label", "sha256", "width", "height"]


def all_images(plan: Plan) -> Dataset:
    """Give the experiment's images."""
    return _dataset(plan, plan.manifest.table[COLUMNS], plan.manifest.digest, "cross-validation")


def fold_images(plan: Plan, fold: int) -> Iterator[Dataset]:
    """Give the images that a fold run is scored on, fits on and watches in training; empty parts are left out.

    Equal parts of equal data have one digest, so that a search for it finds all backbones on that fold. What is done
    with them is part of it, for MLflow's search does not ask for a digest and a context of the same data set.
    """
    parts = plan.rows[fold]
    for rows, context in ((parts.test, "testing"), (parts.train, "training"), (parts.validation, "validation")):
        if len(rows):
            table = plan.manifest.table.iloc[rows][COLUMNS]
            yield _dataset(plan, table, _digest(table, context), context)


def _dataset(plan: Plan, table: pd.DataFrame, digest: str, context: str) -> Dataset:
    root = plan.manifest.root
    return Dataset(table, root.name or plan.experiment.name, digest, address_of(root), context=context)


def _digest(table: pd.DataFrame, context: str) -> str:
    text = f"{context}\n" + table.sort_values("path")[["path", "label", "sha256"]].to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()

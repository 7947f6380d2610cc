"""What a worker is asked to do: a small order of paths, names and numbers, never arrays or models."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.config import Experiment
from tasks.dataset.folds.assignment import FoldRows, fold_rows, read_folds
from tasks.dataset.manifest import Manifest
from tasks.dataset.store import ArrayStore

Job = Literal["features", "fold", "cost", "photographs", "write-champion", "ask-champion"]


@dataclass(frozen=True)
class Order:
    """One job for a worker.

    Attributes
    ----------
    job : {"features", "fold", "cost", "photographs", "write-champion", "ask-champion"}
        Compute a backbone's frozen features, do one fold run, measure what a backbone costs, explain photographs
        without labels, write a champion's networks, or let a champion predict.
    experiment : dict
        The experiment as JSON has it.
    data_root, plan_folder, cache_folder : str
        Where the images are, where `manifest.parquet` and `folds.csv` (or `photographs.parquet`) of this experiment
        are, where the stores are.
    backbone : str
        Registry name.
    fold : int
        Number of the fold; -1 for the other jobs.
    tracking_uri, run_id : str
        Where the run is logged; empty for the other jobs.
    details : dict
        Paths that a champion's jobs need; see `tasks.workers.champion_run`.
    """

    job: Job
    experiment: dict[str, Any]
    data_root: str
    plan_folder: str
    cache_folder: str
    backbone: str
    fold: int = -1
    tracking_uri: str = ""
    run_id: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the order as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Material:
    """An order's settings and tables, read from the files that it names."""

    experiment: Experiment
    manifest: Manifest
    fold_of_row: np.ndarray
    """From `read_folds`: of shape (n_images,), or (n_images, n_repeats)."""
    store: ArrayStore

    def rows(self, fold: int) -> FoldRows:
        """Give the row numbers of a fold's training, validation, test and holdout images."""
        experiment = self.experiment
        return fold_rows(
            self.manifest,
            self.fold_of_row,
            fold,
            validation_fraction=experiment.folds.validation_fraction,
            seed=experiment.seed,
        )


def read_material(order: Order) -> Material:
    """Read what the order names."""
    experiment = Experiment.model_validate(order.experiment)
    plan = Path(order.plan_folder)
    manifest = Manifest.read(plan / "manifest.parquet", root=Path(order.data_root))
    return Material(
        experiment=experiment,
        manifest=manifest,
        fold_of_row=read_folds(plan / "folds.csv", manifest),
        store=ArrayStore(Path(order.cache_folder), experiment.cache.max_gb),
    )

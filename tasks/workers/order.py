"""What a worker is asked to do: a small order of paths, names and numbers, never arrays or models."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.config import Experiment, merged
from tasks.dataset.folds.assignment import FoldRows, fold_rows, read_folds
from tasks.dataset.manifest import Manifest
from tasks.dataset.store import ArrayStore
from tasks.workers.plan_files import check_tables

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
    state_file : str
        Where the fit's state is kept, so that it can go on after a kill; empty for the other jobs.
    tables : dict of str to str
        The SHA-256 of each table in `plan_folder`, by its file name.
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
    state_file: str = ""
    tables: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the order as a JSON object."""
        return asdict(self)


def with_batch_size(order: Order, batch_size: int) -> Order:
    """Give the same order with another number of images a training step."""
    own = {order.backbone: {"training": {"batch_size": batch_size}}}
    return replace(order, experiment=merged(order.experiment, {"backbones": own}))


def about(order: Order) -> dict[str, str | int | None]:
    """Give what a log line of a worker is about while it does an order."""
    fold = order.fold if order.fold >= 0 else None
    name = str(order.experiment.get("name", ""))
    return {"experiment": name, "backbone": order.backbone, "fold": fold, "run_id": order.run_id}


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
    """Read what the order names.

    Raises
    ------
    Damaged
        A table is not the one that was written.
    """
    experiment = Experiment.model_validate(order.experiment)
    plan = Path(order.plan_folder)
    check_tables(plan, order.tables)
    manifest = Manifest.read(plan / "manifest.parquet", root=Path(order.data_root))
    return Material(
        experiment=experiment,
        manifest=manifest,
        fold_of_row=read_folds(plan / "folds.csv", manifest),
        store=ArrayStore(Path(order.cache_folder), experiment.cache.max_gb),
    )

"""The plan of an experiment on photographs without labels: its images, and a fingerprint for each backbone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tasks.config import Experiment
from tasks.dataset.photographs import Photographs
from tasks.dataset.pixels.images import DECODER_VERSION
from tasks.dataset.pixels.shaping import SHAPING_VERSION
from tasks.workers.order import Order
from tasks.workers.plan import digest_of, file_digest, versions
from tasks.workers.plan_files import are_whole, check_tables, write_tables

TABLE = "photographs.parquet"


@dataclass(frozen=True)
class PhotographPlan:
    """What is to be done, before anything is.

    Attributes
    ----------
    experiment : Experiment
        The settings.
    photographs : Photographs
        The images.
    fingerprints : dict of str to str
        By backbone, the SHA-256 of everything that decides its run's result.
    cache_folder : Path
        foldcam's own store.
    """

    experiment: Experiment
    photographs: Photographs
    fingerprints: dict[str, str]
    cache_folder: Path
    _tables: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The checksums of what was written into `folder`."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of everything that decides the experiment's result."""
        return digest_of([self.experiment.name, self.fingerprints])

    @property
    def folder(self) -> Path:
        """The plan's own place in the store."""
        return self.cache_folder / "plans" / self.fingerprint[:24]

    def order(self, backbone: str, tracking_uri: str, run_id: str) -> Order:
        """Give the order for a worker, whose table is there even if the cache was cleared or damaged meanwhile."""
        if not are_whole(self.folder, self._tables):
            self.write()
        return Order(
            job="photographs",
            experiment=self.experiment.model_dump(mode="json"),
            data_root=str(self.photographs.root),
            plan_folder=str(self.folder),
            tables=dict(self._tables),
            cache_folder=str(self.cache_folder / "arrays"),
            backbone=backbone,
            tracking_uri=tracking_uri,
            run_id=run_id,
        )

    def write(self) -> None:
        """Write the table that workers read into `folder`; a whole file only.

        Raises
        ------
        InputError
            The folder cannot be written.
        """
        table = self.photographs.table
        self._tables.update(write_tables(self.folder, {TABLE: lambda path: table.to_parquet(path, index=False)}))


def plan_photographs(experiment: Experiment, photographs: Photographs, cache_folder: Path) -> PhotographPlan:
    """Give the plan of an experiment whose photographs are known; nothing is written yet."""
    fingerprints = {name: digest_of(_decides(experiment, photographs, name)) for name in experiment.backbones}
    return PhotographPlan(experiment, photographs, fingerprints, cache_folder)


def ordered_photographs(order: Order, experiment: Experiment) -> Photographs:
    """Read the photographs that an order is about.

    Raises
    ------
    Damaged
        The table of them is not the one that was written.
    """
    check_tables(Path(order.plan_folder), order.tables)
    table = pd.read_parquet(Path(order.plan_folder) / TABLE)
    return Photographs(table, Path(order.data_root), experiment.data.preprocessing.transparency_color)


def _decides(experiment: Experiment, photographs: Photographs, backbone: str) -> dict[str, object]:
    model = experiment.model_of(backbone)
    weight_file = file_digest(model.weights)
    return {
        "job": "photographs",
        "backbone": backbone,
        "photographs": photographs.digest,
        "preprocessing": experiment.data.preprocessing.model_dump(mode="json"),
        "steps": [DECODER_VERSION, SHAPING_VERSION],
        "weights": "file" if weight_file else model.weights,
        "weight_file": weight_file,
        "explanation": experiment.explanation.model_dump(mode="json"),
        "seed": experiment.seed,
        "deterministic": experiment.deterministic,
        "threads": experiment.runner.threads_per_worker,
        "versions": versions(),
    }

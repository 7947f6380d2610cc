"""The plan of an experiment on photographs without labels: its images, and a fingerprint for each backbone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tasks.config import Experiment
from tasks.dataset.photographs import Photographs
from tasks.dataset.pixels.images import DECODER_VERSION
from tasks.dataset.pixels.shaping import SHAPING_VERSION
from tasks.workers.order import Order
from tasks.workers.plan import digest_of, file_digest, versions

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

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of everything that decides the experiment's result."""
        return digest_of([self.experiment.name, self.fingerprints])

    @property
    def folder(self) -> Path:
        """The plan's own place in the store."""
        return self.cache_folder / "plans" / self.fingerprint[:24]

    def order(self, backbone: str, tracking_uri: str, run_id: str) -> Order:
        """Give the order for a worker, whose table is there even if the cache was cleared meanwhile."""
        if not (self.folder / TABLE).exists():
            self.write()
        return Order(
            job="photographs",
            experiment=self.experiment.model_dump(mode="json"),
            data_root=str(self.photographs.root),
            plan_folder=str(self.folder),
            cache_folder=str(self.cache_folder / "arrays"),
            backbone=backbone,
            tracking_uri=tracking_uri,
            run_id=run_id,
        )

    def write(self) -> None:
        """Write the table that workers read into `folder`; a whole file only."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{uuid.uuid4().hex}"
        self.photographs.table.to_parquet(unfinished, index=False)
        unfinished.replace(self.folder / TABLE)


def plan_photographs(experiment: Experiment, photographs: Photographs, cache_folder: Path) -> PhotographPlan:
    """Give the plan of an experiment whose photographs are known; nothing is written yet."""
    fingerprints = {name: digest_of(_decides(experiment, photographs, name)) for name in experiment.backbones}
    return PhotographPlan(experiment, photographs, fingerprints, cache_folder)


def ordered_photographs(order: Order, experiment: Experiment) -> Photographs:
    """Read the photographs that an order is about."""
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

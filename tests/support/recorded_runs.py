"""Recorded experiments without any training: runs, predictions and overlays as an experiment logs them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tasks.config import Experiment
from tasks.dataset.manifest import DECLARED, NUMBER_COLUMNS, TEXT_COLUMNS, Manifest
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import right
from tasks.evaluation.tables import predictions_table
from tasks.explanation.gallery import unique_names
from tasks.explanation.map_files import StoredMaps, write_maps
from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.records import File, Folder, Params, Text

SETTINGS = {"name": "eyes", "data": {"path": "gone"}, "folds": {"n_splits": 2}, "backbones": {"vgg16": {}, "ncnn": {}}}
PATHS = ("a/1.png", "b/1.png", "c.png", "A/1.png", "süß/Öl Fleck.png", "d.png")

PAIN = Targets(("No_pain", "Pain"))


@dataclass
class RecordedJob:
    """An experiment's runs, made one after another as a real one makes them.

    `predictions` gives a fold's table as the true and the decided numbers of its test rows.
    """

    uri: str
    settings: Mapping[str, object] = field(default_factory=lambda: SETTINGS)
    targets: Targets = PAIN
    paths: Sequence[str] = PATHS
    methods: Sequence[str] = ("gradcam",)

    def __post_init__(self) -> None:
        explained = {"explanation": {"methods": list(self.methods)}}
        self.experiment = Experiment.model_validate(explained | dict(self.settings))
        self.ledger = Ledger(self.uri, self.experiment.name)
        self.run_id = self.ledger.open_experiment(Known(None, {}), self.experiment.name, {})
        self.rng = np.random.default_rng(0)
        several = self.targets.kind == "multilabel"
        n, k = len(self.paths), len(self.targets.classes)
        self.y = self.rng.integers(0, 2, (n, k)) if several else np.arange(n) % k
        n_folds = self.experiment.folds.n_splits * self.experiment.folds.n_repeats
        with tempfile.TemporaryDirectory() as scratch:
            self._manifest().write(Path(scratch) / "manifest.parquet")
            text = yaml.safe_dump(self.experiment.model_dump(mode="json"))
            content = [File(Path(scratch) / "manifest.parquet"), Text(text, "experiment.yaml")]
            self.ledger.writer(self.run_id).write([Params({"n_folds": n_folds}), *content])

    def _manifest(self) -> Manifest:
        columns = dict.fromkeys((*TEXT_COLUMNS, DECLARED)) | dict.fromkeys(NUMBER_COLUMNS, 8)
        texts = {"path": list(self.paths), "label": self.targets.texts(self.y), "sha256": "0" * 64}
        table = pd.DataFrame(columns | texts, index=range(len(self.paths)))
        return Manifest(table, Path("gone"), self.targets, pd.DataFrame(columns=["path", "reason", "code"]))

    def backbone(self, name: str) -> str:
        return self.ledger.open_backbone(name, f"{self.run_id}/{name}", "digest")[0]

    def fold(
        self,
        backbone: str,
        fold: int,
        rows: Sequence[int],
        explained: Sequence[int] | None = None,
        status: str = "completed",
        suffix: str = ".png",
    ) -> str:
        """Log a fold run in which every other image of the data is decided wrongly; each overlay's bytes are its own.

        With several labels an image, all labels are decided for by a threshold of 0.4.
        """
        run_id = self.ledger.open_fold(backbone, fold, f"{backbone}/{fold}", "digest")
        rows = np.asarray(rows)
        explained = rows if explained is None else np.asarray(explained)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            self._predictions(fold, rows).to_parquet(folder / "predictions.parquet")
            content: list[File | Folder] = [File(folder / "predictions.parquet")]
            for method in self.methods if len(explained) else ():
                self._overlays(folder / "explanations" / method, f"{backbone} {fold} {method}", explained, suffix)
            if len(explained):
                content.append(Folder(folder / "explanations", "explanations"))
            self.ledger.writer(run_id).write(content)
        self.ledger.end(run_id, status)
        return run_id

    def decided(self, rows: np.ndarray) -> np.ndarray:
        own = self.y[rows]
        if own.ndim == 1:
            return np.where(rows % 2, (own + 1) % len(self.targets.classes), own)
        return np.where((rows % 2)[:, None] == 1, 1, own)

    def _predictions(self, fold: int, rows: np.ndarray) -> pd.DataFrame:
        guesses, k = self.decided(rows), len(self.targets.classes)
        several = guesses.ndim == 2
        chosen = guesses if several else np.eye(k)[guesses]
        probabilities = np.where(chosen, 0.75, 0.25 / max(k - 1, 1))
        return predictions_table(
            [self.paths[row] for row in rows],
            ["0" * 64] * len(rows),
            fold,
            self.y[rows],
            probabilities,
            self.targets,
            guesses,
            np.full(k, 0.4) if several else None,
        )

    def _overlays(self, folder: Path, mark: str, rows: np.ndarray, suffix: str) -> None:
        names = unique_names(list(self.paths), suffix)
        for row, good in zip(rows, right(self.y[rows], self.decided(rows)), strict=True):
            file = folder / ("right" if good else "wrong") / names[row]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{mark} {self.paths[row]}")
        maps = np.zeros((len(rows), 3, 3), np.float32)
        classes = np.zeros(len(rows), np.int64)
        write_maps(folder / "maps.npz", StoredMaps("any", "", np.array(self.paths)[rows], classes, maps))

    def whole(self) -> RecordedJob:
        """Log both folds of both backbones."""
        for name in self.experiment.backbones:
            self.backbone(name)
            self.fold(name, 0, [0, 1, 2])
            self.fold(name, 1, [3, 4, 5])
            self.ledger.end(self.ledger.backbone_run(name), "completed")
        self.ledger.end(self.run_id, "completed")
        return self

"""Finished fold runs with explanations, as folders: the artifacts of the real thing, made without a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tasks.comparison.results import FoldResult
from tasks.config import Experiment, Kind
from tasks.dataset.manifest import Manifest
from tasks.dataset.pixels.images import pixel_digest
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import decide, explained_class
from tasks.evaluation.tables import predictions_table
from tasks.explanation.controls import CONTROLS
from tasks.explanation.fold_pictures import overlay_names, write_method_overlays
from tasks.explanation.location import edge_shares
from tasks.explanation.map_files import StoredMaps, write_maps
from tasks.explanation.maps import normalise
from tasks.explanation.measures import FAITHFULNESS, STEADINESS

GRID = 10


def bump(corner: bool, seed: int) -> np.ndarray:
    """Give a map of 10 × 10 with one bump in the middle, or in the top left corner."""
    rows, columns = np.mgrid[:GRID, :GRID]
    place = 0.5 if corner else 4.5
    noise = np.random.default_rng(seed).uniform(0, 0.02, (GRID, GRID))
    return np.asarray(np.exp(-((rows - place) ** 2 + (columns - place) ** 2) / 2) + noise, dtype=np.float32)


@dataclass
class ExplainedRuns:
    """An experiment's data in `folder`, and fold runs that are written one by one."""

    folder: Path
    classes: tuple[str, ...] = ("a", "b", "c")
    kind: Kind = "multiclass"
    n_images: int = 30
    n_folds: int = 2
    n_repeats: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        images = self.folder / "images"
        images.mkdir(parents=True)
        paths = [f"{number:03d}.png" for number in range(self.n_images)]
        pictures = [np.full((20, 30, 3), number % 200, np.uint8) for number in range(self.n_images)]
        for path, picture in zip(paths, pictures, strict=True):
            Image.fromarray(picture).save(images / path)
        digests = [pixel_digest(picture) for picture in pictures]
        labels = [self.classes[number % len(self.classes)] for number in range(self.n_images)]
        table = pd.DataFrame({"path": paths, "label": labels, "sha256": digests, "height": 20, "width": 30})
        self.manifest = Manifest(
            table.assign(group=None, split=None), images, Targets(self.classes, self.kind), pd.DataFrame()
        )
        explanation = {"methods": ["gradcam"], "contact_sheet_images": 6} | self.settings
        data = {"path": images, "labels": {"kind": self.kind}}
        self.experiment = Experiment(name="study", data=data, backbones=["ncnn", "vgg16"], explanation=explanation)
        first = np.arange(self.n_images) % self.n_folds
        repeats = [np.roll(first, shift) + shift * self.n_folds if shift else first for shift in range(self.n_repeats)]
        self.folds_of_row = np.column_stack(repeats)

    @property
    def plan(self) -> Any:
        return SimpleNamespace(
            manifest=self.manifest,
            experiment=self.experiment,
            fold_of_row=self.folds_of_row[:, 0],
            n_folds=self.n_folds * self.n_repeats,
            n_repeats=self.n_repeats,
        )

    def fetch(self, run_id: str, artifact: str) -> Path:
        return self.folder / "runs" / run_id / artifact

    def result(self, backbone: str, folds: list[int]) -> Any:
        """Give what the comparison knows of a backbone whose folds are finished."""
        finished = tuple(FoldResult(backbone, fold, "completed", f"{backbone}-{fold}", seconds=10.0) for fold in folds)
        return SimpleNamespace(name=backbone, finished=finished, seconds=10.0 * len(folds))

    def write(
        self,
        backbone: str,
        fold: int,
        *,
        corners: tuple[str, ...] = (),
        wrong: tuple[int, ...] = (),
        truth: dict[str, float] | None = None,
        shift: int = 0,
    ) -> None:
        """Leave a fold run: heat in the corner for some classes, some images wrong, and measures of these values."""
        folder = self.fetch(f"{backbone}-{fold}", "")
        (folder / "explanations").mkdir(parents=True)
        test = np.flatnonzero((self.folds_of_row == fold).any(axis=1))
        y, paths = self.manifest.y[test], self.manifest.table["path"].to_numpy(dtype=str)[test]
        probabilities = self._probabilities(test, wrong)
        y_pred, several = decide(probabilities, self.kind), self.kind == "multilabel"
        table = self.manifest.table.iloc[test]
        predictions_table(
            paths.tolist(),
            table["sha256"].tolist(),
            fold,
            y,
            probabilities,
            self.manifest.targets,
            y_pred=y_pred,
            thresholds=np.full(len(self.classes), 0.5) if several else None,
        ).to_parquet(folder / "predictions.parquet")
        classes = explained_class(probabilities, self.kind)
        good = (y == y_pred).reshape(len(test), -1).all(axis=1)
        told = [self.classes[number] for number in (classes if several else y)]
        maps = np.stack([bump(label in corners, int(row) + shift) for label, row in zip(told, test, strict=True)])
        located, measured = [], []
        for method in self.experiment.explanation.methods:
            stored = StoredMaps(method, "conv", paths, classes, maps)
            write_maps(folder / "explanations" / method / "maps.npz", stored)
            write_method_overlays(folder / "explanations", self.manifest, self.experiment, stored, test, good)
            keys = {"path": paths, "group": None, "method": method, "label": [self.classes[c] for c in classes]}
            texts = {"true": self.manifest.targets.texts(y), "predicted": self.manifest.targets.texts(y_pred)}
            located.append(
                pd.concat([pd.DataFrame(keys | texts | {"right": good}), edge_shares(normalise(maps))], axis=1)
            )
            if truth is not None:
                measured.append(self._measured(pd.DataFrame(keys), truth))
        pd.concat(located, ignore_index=True).to_parquet(folder / "explanations" / "location.parquet")
        if measured:
            pd.concat(measured, ignore_index=True).to_parquet(folder / "explanations" / "truth.parquet")

    def write_holdout(self, backbone: str, fold: int, maps: np.ndarray, classes: np.ndarray) -> None:
        """Leave a fold run's maps of the first images, as if they were the holdout's."""
        paths = self.manifest.table["path"].to_numpy(dtype=str)[: len(maps)]
        path = self.fetch(f"{backbone}-{fold}", "explanations/gradcam/holdout_maps.npz")
        write_maps(path, StoredMaps("gradcam", "conv", paths, classes, maps))

    def overlay_name(self, row: int) -> str:
        return overlay_names(self.manifest, self.experiment)[row]

    def _probabilities(self, test: np.ndarray, wrong: tuple[int, ...]) -> np.ndarray:
        y, n = self.manifest.y[test], len(self.classes)
        if self.kind == "multilabel":
            return np.where(y == 1, 0.9, 0.1)
        sure = 0.6 + 0.3 * test / self.n_images
        probabilities = np.repeat(((1 - sure) / (n - 1))[:, None], n, axis=1)
        guess = np.where(np.isin(test, wrong), (y + 1) % n, y)
        probabilities[np.arange(len(test)), guess] = sure
        return probabilities

    def _measured(self, keys: pd.DataFrame, truth: dict[str, float]) -> pd.DataFrame:
        names = [*FAITHFULNESS, *(f"{name}_{control}" for control in CONTROLS for name in FAITHFULNESS), *STEADINESS]
        jitter = np.random.default_rng(len(keys)).normal(0, 0.01, len(keys))
        return keys.assign(**{name: truth.get(name, 0.1) + jitter for name in names})

"""What a backbone's fold runs have logged of their explanations, read back as far as it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tasks.comparison.backbone import Fetch
from tasks.comparison.results import BackboneResult
from tasks.explanation.map_files import StoredMaps, read_maps


@dataclass(frozen=True)
class FoldExplanations:
    """A backbone's fold runs, of which each artifact may be missing: nothing was explained, or an older version ran.

    Attributes
    ----------
    runs : mapping of int to str
        The finished fold runs' MLflow runs by fold, ascending.
    fetch : callable
        Gives the local path of a run's artifact.
    """

    runs: Mapping[int, str]
    fetch: Fetch

    @classmethod
    def of(cls, result: BackboneResult, fetch: Fetch) -> FoldExplanations:
        """Give those of a backbone's finished fold runs."""
        return cls({fold.fold: fold.run_id or "" for fold in sorted(result.finished, key=lambda own: own.fold)}, fetch)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Each image's prediction by the first fold run that has one, by path."""
        tables = [pd.read_parquet(self.fetch(run_id, "predictions.parquet")) for run_id in self.runs.values()]
        if not tables:
            return pd.DataFrame(columns=["fold"])
        return pd.concat(tables, ignore_index=True).drop_duplicates("path").set_index("path")

    def table(self, name: str) -> pd.DataFrame | None:
        """Give the fold runs' tables `explanations/<name>.parquet` one below the other, with a first column `fold`."""
        found = {fold: self._path(fold, f"{name}.parquet") for fold in self.runs}
        tables = [pd.read_parquet(path).assign(fold=fold) for fold, path in found.items() if path is not None]
        filled = [table for table in tables if len(table)]
        if not filled:
            return None
        pooled = pd.concat(filled, ignore_index=True)
        return pooled[["fold", *pooled.columns.drop("fold")]]

    def maps(self, fold: int, method: str, *, holdout: bool = False) -> StoredMaps | None:
        """Give a fold run's maps by a method, of its test images or of the holdout's."""
        path = self._path(fold, f"{method}/{'holdout_maps' if holdout else 'maps'}.npz")
        return None if path is None else read_maps(path)

    def overlay(self, fold: int, artifact: str) -> Path | None:
        """Give a fold run's overlay, by its path below `explanations/`."""
        return self._path(fold, artifact)

    def first_maps(self, fold: int, method: str) -> StoredMaps | None:
        """Give a fold run's maps of the images whose `predictions` are this fold run's; None where there is none."""
        stored = self.maps(fold, method)
        if stored is None or not len(stored.paths):
            return None
        own = (self.predictions["fold"].reindex(stored.paths) == fold).to_numpy()
        kept = StoredMaps(stored.method, stored.layer, stored.paths[own], stored.classes[own], stored.maps[own])
        return kept if own.any() else None

    def _path(self, fold: int, artifact: str) -> Path | None:
        try:
            path = self.fetch(self.runs[fold], f"explanations/{artifact}")
        except FileNotFoundError:
            return None
        return path if path.is_file() else None

"""Backbones of recorded experiments, with all that it takes to compare them without their data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from tasks.comparison.pooling import pool_out_of_fold
from tasks.comparison.record.recorded import read_settings, read_table
from tasks.dataset.spreadsheets import as_written
from tasks.dataset.targets import Targets
from tasks.tracking.levels import flattened

if TYPE_CHECKING:
    from tasks.tracking.artifacts import Artifacts

_PLACE = ("name", "description")


@dataclass(frozen=True, eq=False)
class RecordedData:
    """What an experiment stands on, as its run has it.

    Attributes
    ----------
    label : str
        What it is called among those that it is compared with.
    digest : str
        SHA-256 of its images and labels.
    targets : Targets
        The kind of labels and the classes.
    images : DataFrame
        Indexed by path: `sha256`, `label`, `group`, and the fold in each repeat (`fold`, `fold_1` and so on), as texts.
    settings : mapping of str to object
        The experiment file's settings by their full keys, without name and description.
    """

    label: str
    digest: str
    targets: Targets
    images: pd.DataFrame
    settings: Mapping[str, object]

    @cached_property
    def folds(self) -> pd.DataFrame:
        """The fold of each image in each repeat, as whole numbers; -1: held out."""
        return self.images[[name for name in self.images.columns if str(name).partition("_")[0] == "fold"]].astype(
            np.int64
        )

    @property
    def groups(self) -> pd.Series:
        """What images belong together, by path; None where an image is a group of its own."""
        own: pd.Series = self.images["group"]
        return own.where(own != "", None)

    def tested_in(self, folds: set[int]) -> list[str]:
        """Give the paths of the test images of some folds, each as often as it is one."""
        return [path for column in self.folds for path in self.folds.index[self.folds[column].isin(folds)]]


@dataclass(frozen=True, eq=False)
class Contender:
    """One backbone of a recorded experiment.

    Attributes
    ----------
    label, backbone, run_id : str
        What it is called among the others; its name; its run.
    data : RecordedData
        What its experiment stands on.
    fold_runs : mapping of int to str
        By fold, the finished fold run.
    artifacts : Artifacts
        Reads the runs.
    """

    label: str
    backbone: str
    run_id: str
    data: RecordedData
    fold_runs: Mapping[int, str]
    artifacts: Artifacts

    def pooled(self, folds: set[int]) -> pd.DataFrame:
        """Give its out-of-fold predictions on some of its finished folds, one row an image.

        Raises
        ------
        InputError
            A fold run's predictions are gone or damaged.
        ValueError
            An image of these folds has too few predictions, or too many.
        """
        tables = [
            read_table(self.artifacts.fetch(self.fold_runs[fold], "predictions.parquet")) for fold in sorted(folds)
        ]
        return pool_out_of_fold(tables, self.data.targets, self.data.tested_in(folds))


def read_data(artifacts: Artifacts, run_id: str, label: str, digest: str) -> RecordedData:
    """Read what an experiment's run says of its images, folds and settings.

    Raises
    ------
    InputError
        Its artifacts are gone, or its images have no labels.
    """
    settings = read_settings(artifacts, run_id)
    table = pd.read_csv(artifacts.fetch(run_id, "folds.csv"), dtype=str, keep_default_na=False)
    images = as_written(table).set_index("path")
    file: dict[str, Any] = yaml.safe_load(artifacts.fetch(run_id, "experiment.yaml").read_text(encoding="utf-8"))
    own = {key: value for key, value in flattened(file).items() if key not in _PLACE}
    return RecordedData(label, digest, settings.targets, images.sort_index(), own)

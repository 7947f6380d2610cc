"""What is logged, as data: a run's content is a stream of these, and one writer turns them into MLflow calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL.Image import Image

from tasks.config import Preprocessing
from tasks.dataset.targets import Targets


@dataclass(frozen=True)
class Tags:
    """Tags of the run; a later value replaces an earlier one."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Params:
    """Parameters of the run; MLflow keeps the first value of each for good."""

    values: Mapping[str, object]


@dataclass(frozen=True)
class Metrics:
    """Metrics at one step; values that are not numbers are an error. `timestamp` in milliseconds; default: now."""

    values: Mapping[str, float]
    step: int = 0
    timestamp: int | None = None


@dataclass(frozen=True)
class File:
    """One local file, put into the artifact folder `folder`."""

    path: Path
    folder: str | None = None


@dataclass(frozen=True)
class Folder:
    """A local folder with all below it, put at the artifact path `name` in one upload."""

    path: Path
    name: str | None = None


@dataclass(frozen=True)
class Text:
    """A text as an artifact file."""

    content: str
    name: str


@dataclass(frozen=True)
class Dataset:
    """A table of images as an MLflow dataset of the run; `context` is what the run did with them."""

    table: pd.DataFrame
    name: str
    digest: str
    source: str
    targets: str = "label"
    context: str = "cross-validation"


@dataclass(frozen=True, eq=False)
class PictureTable:
    """A table of texts, numbers and pictures for MLflow's page of evaluation tables: `name`.json, with its pictures.

    It replaces one of the same name.
    """

    name: str
    columns: Mapping[str, Sequence[str | float | int | Image]]


@dataclass(frozen=True)
class GridPicture:
    """A PNG file for MLflow's image grids, where pictures of several runs under one key stand side by side.

    It replaces one of the same key.
    """

    key: str
    path: Path


@dataclass(frozen=True)
class Model:
    """A trained model as LoggedModel `model`, served by `served_model.py`; its metrics are the run's too.

    `thresholds` hold one number a label where an image can have several labels, and nothing else.
    """

    keras_file: Path
    targets: Targets
    thresholds: list[float]
    preprocessing: Preprocessing
    size: int
    example: np.ndarray
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


Record = Tags | Params | Metrics | File | Folder | Text | Dataset | PictureTable | GridPicture | Model

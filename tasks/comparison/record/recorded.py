"""What the record of an experiment says of single images: each fold run's predictions, and the overlay of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from tasks.comparison.study_e import study_e_rows
from tasks.config import InputError
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import Targets
from tasks.explanation.gallery import unique_names

if TYPE_CHECKING:
    from tasks.tracking.artifacts import Artifacts


@dataclass(frozen=True)
class RecordedSettings:
    """The settings of a recorded experiment that its predictions and overlays are read by.

    Attributes
    ----------
    backbones : tuple of str
        All that the experiment's file names, in its order.
    targets
        Kind of labels, and the classes.
    methods : tuple of str
        Methods of explanation, the first one first; empty where nothing was explained.
    stems : mapping of str to str
        By image, the name of its overlay without ending.
    """

    backbones: tuple[str, ...]
    targets: Targets
    methods: tuple[str, ...]
    stems: Mapping[str, str]


def read_settings(artifacts: Artifacts, run_id: str) -> RecordedSettings:
    """Read what an experiment's run says of its settings and images; the data need not be on this machine.

    Raises
    ------
    InputError
        Its artifacts are gone, or its images have no labels.
    """
    file = artifacts.fetch(run_id, "experiment.yaml")
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    if found["data"]["labels"]["kind"] == "none":
        raise InputError(
            f"The experiment {found['name']!r} has photographs without labels, so that no prediction is right or "
            "wrong and there is nothing to sort. Its overlays are in MLflow, at the backbones' runs."
        )
    explanation = found["explanation"]
    manifest = Manifest.read(artifacts.fetch(run_id, "manifest.parquet"), Path())
    paths = manifest.table["path"].tolist()
    return RecordedSettings(
        backbones=tuple(found["backbones"]),
        targets=manifest.targets,
        methods=() if explanation["max_images"] == 0 else tuple(explanation["methods"]),
        stems=dict(zip(paths, unique_names(paths, ""), strict=True)),
    )


def recorded_rows(artifacts: Artifacts, folds: Mapping[int, str], targets: Targets) -> pd.DataFrame:
    """Give the test predictions of a backbone's fold runs as study E's rows: one a fold run and image.

    Where the images were cut into folds several times, an image has a row a time, each by the model that did not see
    it then.

    Parameters
    ----------
    artifacts
        Reads the runs.
    folds : mapping of int to str
        MLflow's run by fold; at least one.
    targets
        Kind of labels, and the classes.

    Returns
    -------
    DataFrame
        As `study_e_rows` gives it, by fold and then by image.

    Raises
    ------
    InputError
        A fold run's predictions are gone or damaged.
    """
    tables = [read_table(artifacts.fetch(run_id, "predictions.parquet")) for run_id in folds.values()]
    return study_e_rows(pd.concat(tables, ignore_index=True), targets)


def recorded_overlays(
    artifacts: Artifacts, folds: Mapping[int, str], rows: pd.DataFrame, method: str, stems: Mapping[str, str]
) -> Iterator[Path | None]:
    """Give the overlay of each row as a file on this machine, None where the image was not explained.

    Copies of what lies elsewhere are brought a fold at a time and deleted when the next fold's are asked for.

    Parameters
    ----------
    artifacts
        Reads the runs.
    folds : mapping of int to str
        MLflow's run by fold.
    rows
        Predictions as `recorded_rows` gives them.
    method
        The method of explanation.
    stems : mapping of str to str
        By image, the name of its overlay without ending.

    Raises
    ------
    InputError
        An overlay was logged and is gone.
    """
    for fold, part in rows.groupby("Fold", sort=False):
        run_id = folds[int(str(fold))]
        place = artifacts.fetch(run_id, f"explanations/{method}")
        explained = _explained(place)
        files = {
            (side, file.stem): file
            for side in ("right", "wrong")
            for file in ((place / side).iterdir() if (place / side).is_dir() else ())
        }
        for image, good in zip(part["Image"], part["Right?"], strict=True):
            side = "right" if good else "wrong"
            file = files.get((side, stems[image]))
            if file is None and image in explained:
                raise InputError(
                    f"The overlay of `{image}` was logged but is not in `{place / side}` any more, so the export would "
                    "not be whole. Bring it back, or do the fold run again with `foldcam run FILE --fresh`."
                )
            yield file
        artifacts.forget(run_id)


def read_table(file: Path) -> pd.DataFrame:
    """Read a table of predictions that was logged.

    Raises
    ------
    InputError
        It is damaged.
    """
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as fault:
        raise InputError(
            f"The predictions in `{file}` are damaged: they cannot be read as the table that was logged. Bring the "
            "file back, or do the fold run again with `foldcam run FILE --fresh`."
        ) from fault


def _explained(place: Path) -> set[str]:
    """Give the images that a fold run has maps of; none is known of a run of a version that kept no maps."""
    file = place / "maps.npz"
    if not file.exists():
        return set()
    with np.load(file, allow_pickle=False) as maps:
        return set(maps["paths"].tolist())

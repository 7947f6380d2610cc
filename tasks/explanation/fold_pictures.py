"""The pictures of one fold run, and the choice of images that all backbones share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.config import Experiment
from tasks.dataset.addresses import open_image
from tasks.dataset.manifest import Manifest
from tasks.explanation.contact_sheet import SheetRow, contact_sheet
from tasks.explanation.gallery import choose_images, unique_names, write_overlays
from tasks.explanation.maps import normalise, upsample
from tasks.explanation.overlays import overlay

if TYPE_CHECKING:
    from tasks.explanation.predictions import Predicted

WRITERS = 2


def sheet_rows(manifest: Manifest, experiment: Experiment) -> np.ndarray:
    """Give the rows that stand on every backbone's contact sheet; they depend on the data and the seed only."""
    candidates = np.flatnonzero(manifest.table["split"].isna().to_numpy())
    chosen = choose_images(
        manifest.y[candidates],
        experiment.explanation.contact_sheet_images,
        experiment.seed,
        _groups(manifest, candidates),
    )
    rows: np.ndarray = candidates[chosen]
    return rows


def choose_explained(manifest: Manifest, test: np.ndarray, experiment: Experiment) -> np.ndarray:
    """Give the test rows of a fold that get a picture: at most `max_images`, by class, and those on the sheets."""
    limit = experiment.explanation.max_images
    if limit == 0:
        return test[:0]
    chosen = test[choose_images(manifest.y[test], limit, experiment.seed, _groups(manifest, test))]
    return np.union1d(chosen, np.intersect1d(test, sheet_rows(manifest, experiment)))


def overlay_names(manifest: Manifest, experiment: Experiment) -> list[str]:
    """Give the file name of each image's overlay, the same in every fold run."""
    suffix = {"png": ".png", "jpeg": ".jpg"}[experiment.explanation.format]
    return unique_names(manifest.table["path"].tolist(), suffix)


def write_fold_pictures(
    folder: Path, manifest: Manifest, experiment: Experiment, predicted: Predicted, *, fold: int, title: str
) -> None:
    """Write `gradcam/{right,wrong}/<image>.png` (or `.jpg`) for every explained image, and `contact_sheet.png`.

    Overlays are of the original picture's size; pictures are read again one at a time.
    """
    if not len(predicted.explained):
        return
    settings, classes, y = experiment.explanation, manifest.classes, manifest.y
    names = overlay_names(manifest, experiment)
    rows, maps = predicted.explained, normalise(predicted.maps)
    probabilities = predicted.of(rows)
    guesses = probabilities.argmax(axis=1)
    paths = manifest.table["path"].iloc[rows].tolist()
    write_overlays(
        folder / "gradcam",
        (open_image(manifest.root, path) for path in paths),
        maps,
        [names[row] for row in rows],
        guesses == y[rows],
        alpha=settings.alpha,
        colormap=settings.colormap,
        workers=WRITERS,
    )
    shown = choose_images(y[rows], settings.contact_sheet_images, experiment.seed)
    sheet = []
    for place in shown:
        image = open_image(manifest.root, paths[place])
        heat = upsample(maps[place], *image.shape[:2])
        sheet.append(
            SheetRow(
                image=image,
                overlay=overlay(image, heat, settings.alpha, settings.colormap),
                name=manifest.table["path"].iloc[rows[place]],
                true=classes[y[rows[place]]],
                predicted=classes[guesses[place]],
                probability=float(probabilities[place].max()),
                fold=fold,
            )
        )
    contact_sheet(sheet, title=title, colormap=settings.colormap).save(folder / "contact_sheet.png", compress_level=1)


def _groups(manifest: Manifest, rows: np.ndarray) -> np.ndarray | None:
    groups = manifest.table["group"].iloc[rows]
    return None if groups.isna().any() else groups.to_numpy(dtype=object)

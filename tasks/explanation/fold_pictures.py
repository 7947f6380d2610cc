"""The overlays and sheet rows of one fold run, and the choice of images that all backbones share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.config import Experiment
from tasks.dataset.listed_image import open_listed
from tasks.dataset.manifest import Manifest
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import masked, shape
from tasks.dataset.targets import Targets
from tasks.explanation.building import in_colours
from tasks.explanation.gallery import choose_images, unique_names, write_overlays
from tasks.explanation.intervals import known_groups
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.maps import remark
from tasks.explanation.overlays import overlay_of_square
from tasks.explanation.sheet_row import SheetRow

if TYPE_CHECKING:
    from tasks.explanation.predictions import Predicted

WRITERS = 2


def sheet_rows(manifest: Manifest, experiment: Experiment) -> np.ndarray:
    """Give the rows that stand on every backbone's contact sheet; they depend on the data and the seed only."""
    candidates = np.flatnonzero(manifest.table["split"].isna().to_numpy())
    chosen = choose_images(
        manifest.strata[candidates],
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
    chosen = test[choose_images(manifest.strata[test], limit, experiment.seed, _groups(manifest, test))]
    return np.union1d(chosen, np.intersect1d(test, sheet_rows(manifest, experiment)))


def overlay_names(manifest: Manifest, experiment: Experiment) -> list[str]:
    """Give the file name of each image's overlay, the same in every fold run."""
    suffix = {"png": ".png", "jpeg": ".jpg"}[experiment.explanation.format]
    return unique_names(manifest.table["path"].tolist(), suffix)


def shown_labels(targets: Targets, text: str) -> tuple[str, ...]:
    """Give the labels that a text of the data's or of a predictions table holds, or the one word for there being none.

    Parameters
    ----------
    targets
        The kind of labels.
    text
        As `Targets.texts` writes it.
    """
    return tuple(targets.parts(text)) or (targets.none_name,)


def explained_label(targets: Targets, number: int, target: str = "predicted") -> str | None:
    """Give the label that a map is for, None where that is what is predicted anyway: one class or grade an image."""
    return targets.classes[number] if targets.kind == "multilabel" or target == "true" else None


def write_method_overlays(
    folder: Path, manifest: Manifest, experiment: Experiment, stored: StoredMaps, rows: np.ndarray, good: np.ndarray
) -> None:
    """Write `<method>/{right,wrong}/<image>.png` (or `.jpg`) for every explained image.

    Overlays are of the original picture's size, with the map where the network saw it, and black where a mask hides
    the picture; pictures are read again one at a time.

    Parameters
    ----------
    folder
        Where to; it need not be there.
    manifest, experiment
        Images and labels, and the settings.
    stored
        The maps.
    rows : ndarray of shape (n,), int
        The images' rows, in the order of the maps.
    good : ndarray of shape (n,), bool
        Whether each one's prediction is right.
    """
    settings, names = experiment.explanation, overlay_names(manifest, experiment)
    write_overlays(
        folder / stored.method,
        (open_listed(manifest, str(path)) for path in stored.paths),
        in_colours(stored.method, stored.maps),
        [names[row] for row in rows],
        good,
        how=shaping_of(experiment.data.preprocessing),
        alpha=settings.alpha,
        colormap=settings.colormap,
        workers=WRITERS,
    )


def fold_sheet_rows(
    manifest: Manifest,
    experiment: Experiment,
    predicted: Predicted,
    y_pred: np.ndarray,
    rows: np.ndarray,
    stored: StoredMaps,
    places: np.ndarray,
    fold: int,
    size: int,
) -> list[SheetRow]:
    """Give a sheet's rows for some of the explained images, opened one at a time.

    Parameters
    ----------
    manifest, experiment
        Images and labels, and the settings.
    predicted
        The fold's predictions.
    y_pred : ndarray of shape (n_rows,), int, or (n_rows, n_classes), 0 or 1, for several labels
        What was decided for `predicted.rows`.
    rows : ndarray of shape (n,), int
        The explained rows.
    stored
        Their maps.
    places : ndarray of int
        Which of the explained images, by their place among them.
    fold
        The fold's number.
    size
        Height and width of the network's image in pixels.
    """
    settings, how = experiment.explanation, shaping_of(experiment.data.preprocessing)
    chosen, targets = rows[places], manifest.targets
    truths, decisions = targets.texts(manifest.y[chosen]), targets.texts(y_pred[predicted.places(chosen)])
    heats = in_colours(stored.method, stored.maps[places])
    sheet = []
    for number, (row, heat, explained) in enumerate(zip(chosen, heats, stored.classes[places], strict=True)):
        path = manifest.table["path"].iloc[row]
        image = open_listed(manifest, path)
        sheet.append(
            SheetRow(
                image=masked(image, how),
                overlay=overlay_of_square(image, heat, how, settings.alpha, settings.colormap),
                name=path,
                true=shown_labels(targets, truths[number]),
                predicted=shown_labels(targets, decisions[number]),
                probability=float(predicted.probabilities[predicted.places(row), explained]),
                fold=fold,
                explained=explained_label(targets, int(explained), settings.target),
                seen=shape(image, size, how),
                remark=remark(heat),
            )
        )
    return sheet


def _groups(manifest: Manifest, rows: np.ndarray) -> np.ndarray | None:
    return known_groups(manifest.table["group"].iloc[rows])

"""A fold run's explanations: maps, overlays, sheets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tasks.dataset.folds.assignment import FoldRows
from tasks.dataset.spreadsheets import inert
from tasks.evaluation.outputs import right
from tasks.explanation.fold_pictures import choose_explained, write_method_overlays
from tasks.explanation.map_files import StoredMaps, write_maps
from tasks.explanation.methods import INTEGRATED_GRADIENTS
from tasks.workers.decisions import Outcome
from tasks.workers.fold_completeness import completeness, completeness_metrics, write_integrated_figures
from tasks.workers.fold_maps import classes_to_explain, holdout_sample, make_maps, maps_while_predicting
from tasks.workers.fold_sheets import FoldSheets, few_places
from tasks.workers.order import Material
from tasks.workers.workshop import Bench


@dataclass(frozen=True)
class Explained:
    """A fold's explained test images.

    Attributes
    ----------
    rows, classes : ndarray of shape (n,), int
        The images, and the class that each is explained for.
    y_pred : ndarray of shape (n_test, …)
        What was decided for all test images.
    good : ndarray of shape (n,), bool
        Whether each one's prediction is right.
    maps : dict of str to StoredMaps
        By method, in the order of the settings.
    metrics : dict of str to float
        What the methods say of themselves, by the metrics' full names.
    """

    rows: np.ndarray
    classes: np.ndarray
    y_pred: np.ndarray
    good: np.ndarray
    maps: dict[str, StoredMaps]
    metrics: dict[str, float] = field(default_factory=dict)


def explain_fold(
    folder: Path, material: Material, bench: Bench, rows: FoldRows, fold: int, outcome: Outcome
) -> Explained | None:
    """Explain a fold's test images and write all that people look at.

    Parameters
    ----------
    folder : Path
        Where to; it is made where there is something to write.
    material : Material
        Settings and images.
    bench : Bench
        The fitted network.
    rows : FoldRows
        The fold's images.
    fold : int
        Its number.
    outcome : Outcome
        The network's predictions.

    Returns
    -------
    Explained or None
        None where no image is to be explained.

    Raises
    ------
    InputError
        A method does not go with the network, or a setting of its own does not.
    """
    chosen = choose_explained(material.manifest, rows.test, material.experiment)
    if not len(chosen):
        return None
    found = _explained(material, bench, outcome, chosen)
    for name, stored in found.maps.items():
        write_method_overlays(folder, material.manifest, material.experiment, stored, found.rows, found.good)
        write_maps(folder / name / "maps.npz", stored)
    first = next(iter(found.maps.values()))
    sheets = FoldSheets(material, bench, outcome, fold, found.rows, found.y_pred, first)
    sheets.write(folder)
    sheets.write_feature_maps(folder)
    if INTEGRATED_GRADIENTS in found.maps:
        found.metrics.update(_write_integrated(folder / INTEGRATED_GRADIENTS, material, bench, found))
    _write_holdout(folder, material, bench, rows.holdout)
    return found


def _explained(material: Material, bench: Bench, outcome: Outcome, rows: np.ndarray) -> Explained:
    at_once = maps_while_predicting(material.experiment, outcome.kind)
    classes = classes_to_explain(material, outcome.test, rows, outcome.thresholds)
    y_pred = outcome.decided(outcome.test)
    good = right(material.manifest.y[rows], y_pred[outcome.test.places(rows)])
    maps = make_maps(bench, material, rows, classes, outcome.test if at_once else None)
    return Explained(rows, classes, y_pred, good, maps)


def _write_integrated(folder: Path, material: Material, bench: Bench, found: Explained) -> dict[str, float]:
    stored = found.maps[INTEGRATED_GRADIENTS]
    table = completeness(stored, material)
    inert(table).to_csv(folder / "completeness.csv", index=False)
    write_integrated_figures(folder, material, bench, stored, found.rows, few_places(material, found.rows))
    return completeness_metrics(table)


def _write_holdout(folder: Path, material: Material, bench: Bench, holdout: np.ndarray) -> None:
    rows, classes = holdout_sample(material.manifest, holdout, material.experiment)
    if len(rows):
        for name, stored in make_maps(bench, material, rows, classes).items():
            write_maps(folder / name / "holdout_maps.npz", stored)

"""A fold run's maps: of its explained test images by every method, and of the holdout's for a look across folds."""

from __future__ import annotations

import numpy as np

from tasks.config import Experiment, Kind
from tasks.dataset.manifest import Manifest
from tasks.evaluation.outputs import explained_class
from tasks.explanation.gallery import choose_images
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.methods import INTEGRATED_GRADIENTS
from tasks.explanation.predictions import BATCH, Predicted
from tasks.workers.order import Material
from tasks.workers.workshop import Bench

FIRST_PASS = "gradcam"
"""The method whose maps can come from the very pass that predicts."""


def maps_while_predicting(experiment: Experiment, kind: Kind) -> bool:
    """Tell whether predictions and Grad-CAM come from one pass: the likeliest class at the backbone's own layer."""
    settings = experiment.explanation
    return (
        kind == "multiclass"
        and settings.target == "predicted"
        and settings.layer is None
        and FIRST_PASS in settings.methods
    )


def classes_to_explain(material: Material, predicted: Predicted, rows: np.ndarray, thresholds: object) -> np.ndarray:
    """Give the class that each explained image's maps are for.

    Parameters
    ----------
    material : Material
        Settings and labels.
    predicted : Predicted
        Their predictions.
    rows : ndarray of shape (n_explained,), int
        The explained rows.
    thresholds : ndarray of shape (n_classes,), or None
        From which probability on an image has a label.

    Returns
    -------
    ndarray of shape (n_explained,), int64
        What `outputs.explained_class` chooses; with `target: true` the image's own class or grade, or of its labels
        the likeliest one (the likeliest of all where it has none).
    """
    targets, settings = material.manifest.targets, material.experiment.explanation
    probabilities = predicted.probabilities[predicted.places(rows)]
    if settings.target == "true" and targets.kind != "multilabel":
        return np.asarray(material.manifest.y[rows], dtype=np.int64)
    if settings.target == "true":
        has = material.manifest.y[rows] > 0
        own = np.where(has.any(axis=1, keepdims=True), has, True)
        return np.asarray(np.where(own, probabilities, -1.0).argmax(axis=1), dtype=np.int64)
    return np.asarray(explained_class(probabilities, targets.kind, 0.5 if thresholds is None else thresholds))


def make_maps(
    bench: Bench, material: Material, rows: np.ndarray, classes: np.ndarray, ready: Predicted | None = None
) -> dict[str, StoredMaps]:
    """Make the raw maps of some images by every method of the settings.

    Parameters
    ----------
    bench : Bench
        The fitted network.
    material : Material
        Settings and images.
    rows : ndarray of shape (n,), int
        The images.
    classes : ndarray of shape (n,), int
        The class that each is explained for.
    ready : Predicted or None
        Predictions that came with Grad-CAM's maps of these very rows.

    Returns
    -------
    dict of str to StoredMaps
        By method; maps at the resolution in which they are made.

    Raises
    ------
    InputError
        A method does not go with the network, or a setting of its own does not.
    """
    paths = material.manifest.table["path"].iloc[rows].to_numpy(dtype=str)
    found: dict[str, StoredMaps] = {}
    for name in material.experiment.explanation.methods:
        if name == INTEGRATED_GRADIENTS:
            maps, *completeness = _integrated(bench, rows, classes)
        else:
            completeness = []
            maps = _maps(bench, name, rows, classes) if ready is None or name != FIRST_PASS else ready.maps
        found[name] = StoredMaps(name, bench.explainers.layer(name), paths, classes, maps, *completeness)
    return found


def holdout_sample(manifest: Manifest, holdout: np.ndarray, experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Give the holdout's images whose maps are compared across folds, and the class that each is explained for.

    The choice depends on the data, the seed and `explanation.faithfulness_images` only. An image is explained for its
    own class or grade, or for the first of its labels; one without a label is left out.

    Returns
    -------
    rows, classes : ndarray of shape (n,), int64
    """
    y = manifest.y[holdout]
    labelled = np.ones(len(holdout), bool) if y.ndim == 1 else (y > 0).any(axis=1)
    candidates = holdout[labelled]
    most = min(experiment.explanation.faithfulness_images, experiment.explanation.max_images or len(candidates))
    if not most or experiment.explanation.max_images == 0:
        return holdout[:0], np.zeros(0, np.int64)
    rows = candidates[choose_images(manifest.strata[candidates], most, experiment.seed)]
    own = manifest.y[rows]
    return rows, np.asarray(own if own.ndim == 1 else (own > 0).argmax(axis=1), dtype=np.int64)


def _maps(bench: Bench, name: str, rows: np.ndarray, classes: np.ndarray) -> np.ndarray:
    explainers = bench.explainers
    method = explainers.on_features(name)
    inputs = bench.inputs.cam_rows if explainers.takes_features(name) else bench.images
    maps = [method(np.asarray(inputs[rows[part]], np.float32), classes[part])[1] for part in _parts(rows)]
    return np.concatenate(maps) if maps else np.zeros((0, 1, 1), np.float32)


def _integrated(bench: Bench, rows: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the maps, the differences of scores, and the gaps."""
    method = bench.explainers(INTEGRATED_GRADIENTS)
    found = [
        method.attributions(np.asarray(bench.images[rows[part]], np.float32), classes[part]) for part in _parts(rows)
    ]
    if not found:
        return np.zeros((0, 1, 1), np.float32), np.zeros(0), np.zeros(0)
    kept = [(own.maps, own.differences, own.gaps) for own in found]
    maps, differences, gaps = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return maps, differences, gaps


def _parts(rows: np.ndarray) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, len(rows), BATCH)]

"""Predictions for a fold's images, with maps for those that are to be explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.config import Kind
from tasks.evaluation.outputs import class_probabilities, explained_class

BATCH = 32

Forward = Callable[[np.ndarray], np.ndarray]
"""Gives the outputs behind the activation, of shape (n, n_classes), 0 to 1, of a batch of rows."""

Explain = Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]]
"""Gives outputs and maps of a batch of rows, for these classes, or for those with the largest logit (None)."""


@dataclass(frozen=True)
class Predicted:
    """What a model gives for some rows.

    Attributes
    ----------
    rows : ndarray of shape (n_rows,), int
        Row numbers, ascending.
    probabilities : ndarray of shape (n_rows, n_classes), float64, 0 to 1
        In the order of `rows`, as `tasks.evaluation.outputs.class_probabilities` gives them.
    explained : ndarray of shape (n_explained,), int
        The rows that have a map.
    maps : ndarray of shape (n_explained, h', w'), float32
        Raw maps, in the order of `explained`.
    explained_classes : ndarray of shape (n_explained,), int
        The class that each map is for, as `tasks.evaluation.outputs.explained_class` chooses it.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    explained: np.ndarray
    maps: np.ndarray
    explained_classes: np.ndarray

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Give where some of the rows stand in `rows`, in the order asked for."""
        return np.searchsorted(self.rows, rows)


def predict_and_explain(
    forward: Forward,
    explain: Explain,
    rows: np.ndarray,
    explained: np.ndarray,
    *,
    kind: Kind,
    n_classes: int,
    thresholds: Any = 0.5,
) -> Predicted:
    """Predict the rows, and map where those in `explained` show the class that they are explained for.

    With one class an image, prediction and map come from one call of `explain`. Else all rows are predicted first,
    because the class that speaks most need not be the one to explain.

    Parameters
    ----------
    forward, explain : callable
        See `Forward` and `Explain`.
    rows, explained : ndarray of int
        Row numbers, ascending; `explained` is a part of `rows`.
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    n_classes : int
        Number of classes, labels or grades.
    thresholds : float, or sequence of float of length n_classes
        From which probability on an image has a label; for `multilabel` only.
    """
    at_once = kind == "multiclass"
    outputs, maps = np.zeros((len(rows), n_classes)), []
    if at_once:
        for batch in _batches(explained):
            outputs[np.searchsorted(rows, batch)], found = explain(batch, None)
            maps.append(found)
    for batch in _batches(np.setdiff1d(rows, explained, assume_unique=True) if at_once else rows):
        outputs[np.searchsorted(rows, batch)] = forward(batch)
    probabilities = class_probabilities(outputs, kind)
    classes = explained_class(probabilities[np.searchsorted(rows, explained)], kind, thresholds)
    if not at_once:
        pairs = zip(_batches(explained), _batches(classes), strict=True)
        maps = [explain(batch, targets)[1] for batch, targets in pairs]
    whole = np.concatenate(maps) if maps else np.zeros((0, 1, 1), np.float32)
    return Predicted(rows, probabilities, explained, whole, classes)


def _batches(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]

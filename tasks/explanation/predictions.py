"""Predictions for a fold's images, with maps for those that are to be explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.config import Kind
from tasks.evaluation.outputs import class_probabilities

BATCH = 32

Forward = Callable[[np.ndarray], np.ndarray]
"""Gives the outputs behind the activation, of shape (n, n_classes), 0 to 1, of a batch of rows."""

Explain = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Gives outputs, and maps for the classes with the largest logit, of a batch of rows."""


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
        The rows whose maps came with their predictions.
    maps : ndarray of shape (n_explained, h', w'), float32
        Raw maps, in the order of `explained`.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    explained: np.ndarray
    maps: np.ndarray

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
) -> Predicted:
    """Predict the rows, those in `explained` by the very passes that map where their likeliest class shows.

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
    """
    outputs, maps = np.zeros((len(rows), n_classes)), []
    for batch in _batches(explained):
        outputs[np.searchsorted(rows, batch)], found = explain(batch)
        maps.append(found)
    for batch in _batches(np.setdiff1d(rows, explained, assume_unique=True)):
        outputs[np.searchsorted(rows, batch)] = forward(batch)
    whole = np.concatenate(maps) if maps else np.zeros((0, 1, 1), np.float32)
    return Predicted(rows, class_probabilities(outputs, kind), explained, whole)


def _batches(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]

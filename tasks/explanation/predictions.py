"""Predictions for a fold's images, with maps for those that are to be explained, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BATCH = 32


@dataclass(frozen=True)
class Predicted:
    """What a model gives for some rows.

    Attributes
    ----------
    rows : ndarray of shape (n_rows,), int
        Row numbers, ascending.
    probabilities : ndarray of shape (n_rows, n_classes), float64, rows sum to 1
        In the order of `rows`.
    explained : ndarray of shape (n_explained,), int
        The rows that have a map.
    maps : ndarray of shape (n_explained, h', w'), float32
        Raw maps of each image's predicted class, in the order of `explained`.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    explained: np.ndarray
    maps: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Give the probabilities of some of the rows, in the order asked for."""
        return self.probabilities[np.searchsorted(self.rows, rows)]


def predict_and_explain(
    forward: Callable[[np.ndarray], np.ndarray],
    explain: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    rows: np.ndarray,
    explained: np.ndarray,
    n_outputs: int,
) -> Predicted:
    """Predict the rows; those in `explained` get their prediction and their map from one call.

    Parameters
    ----------
    forward : callable
        Gives the probabilities of a batch of rows.
    explain : callable
        Gives probabilities and maps of a batch of rows.
    rows, explained : ndarray of int
        Row numbers, ascending; `explained` is a part of `rows`.
    n_outputs : int
        Number of probabilities an image.
    """
    probabilities = np.zeros((len(rows), n_outputs))
    maps = []
    plain = np.setdiff1d(rows, explained, assume_unique=True)
    for batch in _batches(explained):
        probabilities[np.searchsorted(rows, batch)], found = explain(batch)
        maps.append(found)
    for batch in _batches(plain):
        probabilities[np.searchsorted(rows, batch)] = forward(batch)
    totals = probabilities.sum(axis=1, keepdims=True)
    probabilities = np.divide(probabilities, totals, out=probabilities, where=totals > 0)
    return Predicted(rows, probabilities, explained, np.concatenate(maps) if maps else np.zeros((0, 1, 1), np.float32))


def _batches(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]

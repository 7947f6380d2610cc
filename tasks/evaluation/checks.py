"""Whether labels, probabilities and decisions fit together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.config import Kind
from tasks.evaluation.outputs import decide


class Predictions(NamedTuple):
    """What is true of some images, how likely each class is for them, and what was decided."""

    y_true: NDArray[np.int64]
    """Of shape (n_images,): classes or grades; with several labels an image (n_images, n_classes), 0 or 1."""
    y_prob: NDArray[np.float64]
    """Of shape (n_images, n_classes), 0 to 1; rows sum to 1 but with several labels an image."""
    y_pred: NDArray[np.int64]
    """As `y_true`."""


def checked_predictions(
    y_true: np.ndarray,
    y_prob: np.ndarray,
    n_classes: int,
    kind: Kind = "multiclass",
    y_pred: np.ndarray | None = None,
) -> Predictions:
    """Return labels and decisions as int64 and probabilities as float64 after a check of all three.

    Without decisions they are what `outputs.decide` makes of the probabilities.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no image, or a value is out of bounds.
    """
    y_true, y_prob = np.asarray(y_true), np.asarray(y_prob, dtype=np.float64)
    expected = y_true.shape if kind == "multilabel" else (len(y_true), n_classes)
    if n_classes < 2 or not len(y_true) or y_prob.shape != expected or y_true.shape[1:] != _width(kind, n_classes):
        raise ValueError(
            "expected at least one image, two classes and one probability an image and class; got "
            f"y_true of shape {y_true.shape}, y_prob of shape {y_prob.shape} and {n_classes} classes ({kind})"
        )
    _check_numbers("y_true", y_true, kind, n_classes)
    if not (np.isfinite(y_prob).all() and (y_prob >= 0).all() and (y_prob <= 1 + 1e-2).all()):
        raise ValueError("y_prob must hold finite probabilities from 0 to 1")
    if kind == "multilabel":
        y_prob = np.minimum(y_prob, 1)
    else:
        total = y_prob.sum(axis=1, keepdims=True)
        if not (np.abs(total - 1) < 1e-2).all():
            raise ValueError("y_prob must hold probabilities whose rows sum to 1")
        y_prob = y_prob / total
    if y_pred is None:
        y_pred = decide(y_prob, kind)
    y_pred = np.asarray(y_pred)
    if y_pred.shape != y_true.shape:
        raise ValueError(f"y_pred has the shape {y_pred.shape}, and y_true {y_true.shape}")
    _check_numbers("y_pred", y_pred, kind, n_classes)
    return Predictions(y_true.astype(np.int64), y_prob, y_pred.astype(np.int64))


def _width(kind: Kind, n_classes: int) -> tuple[int, ...]:
    return (n_classes,) if kind == "multilabel" else ()


def _check_numbers(name: str, y: np.ndarray, kind: Kind, n_classes: int) -> None:
    largest = 1 if kind == "multilabel" else n_classes - 1
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() > largest:
        raise ValueError(f"{name} must hold whole numbers from 0 to {largest}")

"""Predictions as a table, one row an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tasks.dataset.targets import Targets

PROBABILITY = "prob/"
"""What the name of a probability column begins with; the class follows."""

THRESHOLD = "threshold/"
"""What the name of a threshold's column begins with; the label follows."""


def predictions_table(
    paths: Sequence[str],
    sha256: Sequence[str],
    fold: int | Sequence[int],
    y_true: np.ndarray,
    y_prob: np.ndarray,
    targets: Targets,
    y_pred: np.ndarray,
    thresholds: np.ndarray | None = None,
) -> pd.DataFrame:
    """Lay the predictions out as a data frame: path, sha256, fold, true, predicted and one `prob/<class>` a class.

    With several labels an image there is a `threshold/<class>` a class too.

    Parameters
    ----------
    paths, sha256 : sequences of str, length n_images
        Where each image is, and the SHA-256 of its decoded pixels.
    fold : int, or sequence of int of length n_images
        The fold in whose test part each image is.
    y_true : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1, for several labels
        Class or grade numbers, or which labels an image has.
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Probabilities.
    targets
        The kind of labels and the classes in column order; they stand in the table as they are.
    y_pred : ndarray like y_true
        What was decided.
    thresholds : ndarray of shape (n_classes,), 0 to 1, or None
        What the decisions were made with; needed for several labels, and for nothing else.

    Raises
    ------
    ValueError
        If the lengths differ, a number is out of bounds, or thresholds are missing or too many.
    """
    y_prob, n, classes = np.asarray(y_prob), len(y_true), targets.classes
    several = targets.kind == "multilabel"
    if len(paths) != n or len(sha256) != n or y_prob.shape != (n, len(classes)):
        raise ValueError(
            f"{len(paths)} paths, {len(sha256)} hashes, {n} labels and probabilities of shape {y_prob.shape} "
            f"do not fit together for {len(classes)} classes"
        )
    if several != (thresholds is not None):
        raise ValueError("predictions have thresholds where an image can have several labels, and only there")
    table = pd.DataFrame(
        {
            "path": pd.Series(list(paths), dtype=str),
            "sha256": pd.Series(list(sha256), dtype=str),
            "fold": np.broadcast_to(np.asarray(fold, dtype=np.int64), (n,)),
            "true": pd.Series(_texts(y_true, n, targets), dtype=str),
            "predicted": pd.Series(_texts(y_pred, n, targets), dtype=str),
        }
    )
    values = [pd.DataFrame(y_prob, columns=[PROBABILITY + label for label in classes], index=table.index)]
    if thresholds is not None:
        same = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), (n, len(classes)))
        values.append(pd.DataFrame(same.copy(), columns=[THRESHOLD + label for label in classes], index=table.index))
    return pd.concat([table, *values], axis=1)


def _texts(y: np.ndarray, n: int, targets: Targets) -> list[str]:
    several, n_classes = targets.kind == "multilabel", len(targets.classes)
    y = np.asarray(y, dtype=np.int64)
    largest = 1 if several else n_classes - 1
    if y.shape != ((n, n_classes) if several else (n,)) or (y.size and (y.min() < 0 or y.max() > largest)):
        raise ValueError(f"labels must be whole numbers from 0 to {largest}, for each of {n} images; got {y.shape}")
    return targets.texts(y)

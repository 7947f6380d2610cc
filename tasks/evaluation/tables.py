"""Predictions as a table, one row an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def predictions_table(
    paths: Sequence[str],
    sha256: Sequence[str],
    fold: int | Sequence[int],
    y_true: np.ndarray,
    y_prob: np.ndarray,
    classes: Sequence[str],
) -> pd.DataFrame:
    """Lay the predictions out as a data frame: path, sha256, fold, true, predicted and one `prob/<class>` a class.

    Parameters
    ----------
    paths, sha256 : sequences of str, length n_images
        Where each image is, and the SHA-256 of its decoded pixels.
    fold : int, or sequence of int of length n_images
        The fold in whose test part each image is.
    y_true : ndarray of shape (n_images,), int
        Class numbers, from 0 to n_classes - 1.
    y_prob : ndarray of shape (n_images, n_classes), rows sum to 1
        Probabilities.
    classes : sequence of str
        The labels in column order; they stand in the table as they are.

    Raises
    ------
    ValueError
        If the lengths differ or a class number is out of bounds.
    """
    y_true, y_prob = np.asarray(y_true, dtype=np.int64), np.asarray(y_prob)
    n = len(y_true)
    if len(paths) != n or len(sha256) != n or y_prob.shape != (n, len(classes)):
        raise ValueError(
            f"{len(paths)} paths, {len(sha256)} hashes, {n} labels and probabilities of shape {y_prob.shape} "
            f"do not fit together for {len(classes)} classes"
        )
    if n and (y_true.min() < 0 or y_true.max() >= len(classes)):
        raise ValueError(f"y_true must hold whole numbers from 0 to {len(classes) - 1}")
    labels = np.asarray(classes, dtype=object)
    table = pd.DataFrame(
        {
            "path": pd.Series(list(paths), dtype=str),
            "sha256": pd.Series(list(sha256), dtype=str),
            "fold": np.broadcast_to(np.asarray(fold, dtype=np.int64), (n,)),
            "true": pd.Series(labels[y_true], dtype=str),
            "predicted": pd.Series(labels[y_prob.argmax(axis=1)] if n else [], dtype=str),
        }
    )
    probabilities = pd.DataFrame(y_prob, columns=[f"prob/{label}" for label in classes], index=table.index)
    return pd.concat([table, probabilities], axis=1)

"""What a network's outputs say, for each kind of labels: how labels are encoded, and how decisions are read off.

Needs NumPy and nothing of foldcam's, so that this very file can travel with a saved model. Kinds are `multiclass` (one
class an image, two or more to choose from; softmax), `multilabel` (any number of labels an image; one sigmoid a label)
and `ordinal` (a grade an image; one sigmoid a grade that says whether the image reaches it).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

OUTPUTS_VERSION = "1"
"""Changes whenever the same outputs may come to give another decision."""

ACTIVATIONS: dict[str, Literal["softmax", "sigmoid"]] = {
    "multiclass": "softmax",
    "multilabel": "sigmoid",
    "ordinal": "sigmoid",
}
"""The activation behind the logits, by kind."""

GRADE_REACHED = 0.5
"""A grade is reached where the probability of that is above this."""

_LEAST = {"softmax": float(np.finfo(np.float32).tiny), "sigmoid": 2.0**-24}
"""Probabilities below count as this: what float32 tells from 0 and, for a sigmoid, from 1."""


def encode(y: NDArray[Any], kind: str, n_classes: int) -> NDArray[Any]:
    """Return what a network of this kind is fitted to.

    Parameters
    ----------
    y : ndarray of shape (n,), int, or (n, n_classes), 0 or 1, for `multilabel`
        Class or grade numbers, or which labels an image has.
    kind
        The kind of labels.
    n_classes
        Number of classes, labels or grades.

    Returns
    -------
    ndarray of shape (n,), int64, for `multiclass`; else (n, n_classes), float32, 0 or 1
        For grades the cumulative encoding (Frank and Hall, 2001): column k says whether the grade is k or more, so
        that column 0 is 1 throughout.
    """
    if kind == "multiclass":
        return np.asarray(y, dtype=np.int64)
    if kind == "ordinal":
        return np.asarray(np.asarray(y)[:, None] >= np.arange(n_classes), dtype=np.float32)
    return np.asarray(y, dtype=np.float32)


def activated(logits: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """Return the outputs that a network's activation makes of its logits, of the same shape, 0 to 1, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    if ACTIVATIONS[kind] == "sigmoid":
        small = np.exp(-np.abs(logits))
        return np.asarray(np.where(logits >= 0, 1, small) / (1 + small))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def class_probabilities(outputs: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """Return the probability of each class, label or grade.

    Parameters
    ----------
    outputs : ndarray of shape (n, n_classes), 0 to 1
        What the network gives behind its activation.
    kind
        The kind of labels.

    Returns
    -------
    ndarray of shape (n, n_classes), float64, 0 to 1
        Rows sum to 1, but for `multilabel`, where each label stands for itself. For grades, reaching a grade is no
        likelier than reaching the one below it (the running minimum of all outputs), every image reaches the lowest,
        and the probability of a grade is what is lost from it to the next.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    if kind == "multilabel":
        return outputs.copy()
    if kind == "multiclass":
        total = outputs.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(outputs, total, out=np.zeros_like(outputs), where=total != 0))
    reached = np.minimum.accumulate(outputs, axis=1)
    reached[:, 0] = 1
    return np.asarray(reached - np.append(reached[:, 1:], np.zeros((len(reached), 1)), axis=1))


def logits_of(probabilities: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """Return logits whose probabilities these are, of shape (n, n_classes), finite.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), 0 to 1
        From `class_probabilities`.
    kind
        The kind of labels. Classes have their log probability, which for a temperature is as good as the network's
        logit: it differs by the same number for all classes of an image. Labels have their log odds, and grades the log
        odds of being reached; that of the lowest one, which always is, is the largest number that occurs.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    least = _LEAST[ACTIVATIONS[kind]]
    if kind == "multiclass":
        return np.asarray(np.log(np.maximum(probabilities, least)))
    if kind == "ordinal":
        probabilities = np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1]
    inside = np.clip(probabilities, least, 1 - least)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def scaled(probabilities: NDArray[Any], kind: str, weights: Any, biases: Any) -> NDArray[np.float64]:
    """Return the probabilities whose logits `z` are changed to `weights * z + biases`, as a calibration says.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), 0 to 1
        From `class_probabilities`.
    kind
        The kind of labels.
    weights, biases : sequence of float of length n_classes
        Of a temperature, one over it throughout and 0; see `scaling.Scaling`.

    Raises
    ------
    ValueError
        If there is not one column for each weight.
    """
    if np.shape(probabilities)[1:] != np.shape(weights):
        raise ValueError(f"expected {len(weights)} columns, got an array of shape {np.shape(probabilities)}")
    changed = logits_of(probabilities, kind) * np.asarray(weights) + np.asarray(biases)
    return class_probabilities(activated(changed, kind), kind)


def decide(probabilities: NDArray[Any], kind: str, thresholds: Any = 0.5) -> NDArray[np.int64]:
    """Return the decision for each image.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), 0 to 1
        From `class_probabilities`.
    kind
        The kind of labels.
    thresholds : float, or sequence of float of length n_classes
        From which probability on an image has a label; for `multilabel` only.

    Returns
    -------
    ndarray of shape (n,), int64, or (n, n_classes), 0 or 1, for `multilabel`
        The likeliest class; the grade up to which the outputs say that it is reached, counted from the lowest and not
        below 0; or which labels the image has.
    """
    probabilities = np.asarray(probabilities)
    if kind == "multiclass":
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)
    if kind == "multilabel":
        return np.asarray(probabilities >= np.asarray(thresholds), dtype=np.int64)
    reached = np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((reached[:, 1:] > GRADE_REACHED).sum(axis=1), dtype=np.int64)


def right(y_true: NDArray[Any], y_pred: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each image's decision is right, of shape (n,); with several labels, whether all of them are."""
    same: NDArray[np.bool_] = np.equal(y_true, y_pred)
    return same if same.ndim == 1 else np.asarray(same.all(axis=1))


def class_scores(kind: str, n_classes: int) -> NDArray[np.float32]:
    """Return the matrix that makes of logits what speaks for each class, of shape (n_classes, n_classes), float32.

    `logits @ class_scores(...)` has a column a class. Classes and labels have a logit each. What speaks for a grade is
    the logit of reaching it, and for the lowest one, which every image reaches, what speaks against the second.
    """
    scores = np.eye(n_classes, dtype=np.float32)
    if kind == "ordinal":
        scores[:2, 0] = 0, -1
    return scores


def explained_class(probabilities: NDArray[Any], kind: str, thresholds: Any = 0.5) -> NDArray[np.int64]:
    """Return the class that an image is explained for, of shape (n,).

    It is the class or the grade that is decided for; with several labels, the one that is furthest above its
    threshold, or least below it where the image has none.
    """
    if kind == "multilabel":
        above = np.asarray(probabilities) - np.asarray(thresholds)
        return np.asarray(above.argmax(axis=1), dtype=np.int64)
    return decide(probabilities, kind)

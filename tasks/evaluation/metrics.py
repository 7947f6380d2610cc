"""Figures of how good predictions are, for two classes or many."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from tasks.config import InputError

_RANGES: dict[str, tuple[float, float]] = {
    "accuracy": (0.0, 1.0),
    "balanced_accuracy": (0.0, 1.0),
    "roc_auc": (0.0, 1.0),
    "average_precision": (0.0, 1.0),
    "f1_macro": (0.0, 1.0),
    "precision_macro": (0.0, 1.0),
    "recall_macro": (0.0, 1.0),
    "cohen_kappa": (-1.0, 1.0),
    "matthews_corrcoef": (-1.0, 1.0),
    "log_loss": (0.0, math.inf),
    "brier": (0.0, 2.0),
    "ece": (0.0, 1.0),
}
_BY_CLASS = {"f1": "f1_macro", "precision": "precision_macro", "recall": "recall_macro", "roc_auc": "roc_auc"}
_LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece"})
_LONGEST_KEY = 100

METRIC_NAMES: tuple[str, ...] = tuple(_RANGES)
"""The metrics of the whole data set; those of one class are `f1/<class>` and so on."""


def score(y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Every metric that is defined for these predictions, by name.

    A metric that is undefined is left out and never NaN: the recall or the ROC area of a class without an image, or
    the ROC area where all images are of one class. Averages are taken over the classes for which the figure is
    defined. As in scikit-learn, the precision of a class that is never predicted counts as 0.

    Parameters
    ----------
    y_true : ndarray of shape (n_images,), int
        Class numbers, from 0 to n_classes - 1.
    y_prob : ndarray of shape (n_images, n_classes), rows sum to 1
        Probabilities.
    classes : sequence of str
        The labels in column order, two or more. With two, the second is the positive class of `roc_auc` and
        `average_precision`; with more, both are means over the classes, each against the rest.

    Returns
    -------
    dict of str to float
        Of `METRIC_NAMES` those that are defined, and `f1/<class>`, `precision/<class>`, `recall/<class>` and, for more
        than two classes, `roc_auc/<class>`, where `<class>` is `metric_key` of the label.

        `brier` is the mean squared distance between probabilities and truth (Brier, 1950), summed over the classes
        (0 to 2) or, for two classes, that of the positive class alone (0 to 1), as in scikit-learn.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no image, or a probability is not finite or outside 0 to 1.
    """
    from sklearn import metrics as sk

    y_true, y_prob = checked_predictions(y_true, y_prob, len(classes))
    y_pred = y_prob.argmax(axis=1)
    found: dict[str, float] = {"accuracy": float(sk.accuracy_score(y_true, y_pred))}
    found |= _ranking_scores(y_true, y_prob, classes)
    found |= _decision_scores(y_true, y_pred, classes)
    found["log_loss"] = float(sk.log_loss(y_true, y_prob, labels=np.arange(len(classes))))
    found["brier"] = _brier(y_true, y_prob)
    found["ece"] = expected_calibration_error(y_true, y_prob)
    order = [*METRIC_NAMES, *sorted(set(found) - set(METRIC_NAMES))]
    return {name: found[name] for name in order if name in found}


def expected_calibration_error(y_true: np.ndarray, y_prob: np.ndarray, n_bins: int = 15) -> float:
    """Compute the expected calibration error, from 0 (confidence is accuracy) to 1.

    The images are put into `n_bins` bins of equal width by the probability of their predicted class; the error is the
    mean over the images of the gap between their bin's accuracy and its mean confidence (Guo et al., 2017, eq. 3).

    Parameters
    ----------
    y_true : ndarray of shape (n_images,), int
        Class numbers.
    y_prob : ndarray of shape (n_images, n_classes), rows sum to 1
        Probabilities.
    n_bins : int
        Number of bins; a bin holds its upper edge.
    """
    bins = reliability(y_true, y_prob, n_bins)
    return float(np.sum(bins["count"] * np.abs(bins["accuracy"] - bins["confidence"])) / len(y_true))


def reliability(y_true: np.ndarray, y_prob: np.ndarray, n_bins: int = 15) -> dict[str, np.ndarray]:
    """Confidence and accuracy in bins of equal width of the predicted class's probability.

    Returns
    -------
    dict of str to ndarray of shape (n_bins,)
        `count` of images, mean `confidence` and `accuracy` (0 to 1; both 0 in a bin without images).
    """
    confidence = y_prob.max(axis=1)
    right = y_prob.argmax(axis=1) == y_true
    place = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    divisor = np.maximum(count, 1)
    return {
        "count": count,
        "confidence": np.bincount(place, weights=confidence, minlength=n_bins) / divisor,
        "accuracy": np.bincount(place, weights=right, minlength=n_bins) / divisor,
    }


def checked_predictions(y_true: np.ndarray, y_prob: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers as int64 and probabilities as float64 whose rows sum to 1, after a check of both.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no image, or a value is out of bounds.
    """
    y_true, y_prob = np.asarray(y_true), np.asarray(y_prob, dtype=np.float64)
    if n_classes < 2 or not len(y_true) or y_true.ndim != 1 or y_prob.shape != (len(y_true), n_classes):
        raise ValueError(
            "expected at least one image, two classes and one probability an image and class; got "
            f"y_true of shape {y_true.shape}, y_prob of shape {y_prob.shape} and {n_classes} classes"
        )
    if not np.issubdtype(y_true.dtype, np.integer) or y_true.min() < 0 or y_true.max() >= n_classes:
        raise ValueError(f"y_true must hold whole numbers from 0 to {n_classes - 1}")
    total = y_prob.sum(axis=1, keepdims=True)
    if not (np.isfinite(y_prob).all() and (y_prob >= 0).all() and (np.abs(total - 1) < 1e-2).all()):
        raise ValueError("y_prob must hold finite probabilities from 0 to 1 whose rows sum to 1")
    return y_true.astype(np.int64), y_prob / total


def _ranking_scores(y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    positives = [1] if len(classes) == 2 else range(len(classes))
    area: dict[int, float] = {}
    precision: list[float] = []
    for number in positives:
        of_class = y_true == number
        if of_class.any():
            precision.append(float(average_precision_score(of_class, y_prob[:, number])))
            if not of_class.all():
                area[number] = float(roc_auc_score(of_class, y_prob[:, number]))
    found = {f"roc_auc/{metric_key(classes[number])}": value for number, value in area.items() if len(classes) > 2}
    if area:
        found["roc_auc"] = float(np.mean(list(area.values())))
    if precision:
        found["average_precision"] = float(np.mean(precision))
    return found


def _decision_scores(y_true: np.ndarray, y_pred: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    from sklearn import metrics as sk

    n_classes = len(classes)
    present = np.bincount(y_true, minlength=n_classes) > 0
    known = present | (np.bincount(y_pred, minlength=n_classes) > 0)
    by_class = sk.precision_recall_fscore_support(y_true, y_pred, labels=np.arange(n_classes), zero_division=0.0)
    defined = {"precision": known, "recall": present, "f1": known}
    found: dict[str, float] = {}
    for (name, where), values in zip(defined.items(), by_class[:3], strict=True):
        found[f"{name}_macro"] = float(values[where].mean())
        found |= {f"{name}/{metric_key(classes[i])}": float(values[i]) for i in np.flatnonzero(where).tolist()}
    found["balanced_accuracy"] = found["recall_macro"]
    if known.sum() > 1:
        found["cohen_kappa"] = float(sk.cohen_kappa_score(y_true, y_pred))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found["matthews_corrcoef"] = float(sk.matthews_corrcoef(y_true, y_pred))
    return found


def _brier(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    truth = np.eye(y_prob.shape[1])[y_true]
    distance = np.square(y_prob - truth).sum(axis=1).mean()
    return float(distance / 2 if y_prob.shape[1] == 2 else distance)


def metric_key(label: str) -> str:
    """Name a label as a part of a metric's name: itself where allowed, else a readable likeness and a short hash.

    Metric names hold letters of any script, digits, `_`, `-`, `.` and blanks. What is changed gets a hash of the
    label, so that two labels never share a name.
    """
    plain = re.sub(r"[^\w\-. ]", "_", unicodedata.normalize("NFC", label)).strip(" .")[:_LONGEST_KEY].rstrip(" .")
    looks_hashed = re.search(r"-[0-9a-f]{8}$", label) is not None
    if plain == label and label and not looks_hashed:
        return label
    return f"{plain or '_'}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def higher_is_better(metric: str) -> bool:
    """Whether a larger value of this metric is the better one.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    return _whole(metric) not in _LOWER_IS_BETTER


def metric_range(metric: str) -> tuple[float, float]:
    """Give the least and the largest value that this metric can take.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    return _RANGES[_whole(metric)]


def _whole(metric: str) -> str:
    name, _, label = metric.partition("/")
    whole = _BY_CLASS.get(name) if label else name
    if whole not in _RANGES:
        near: list[Any] = get_close_matches(metric, METRIC_NAMES, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise InputError(f"There is no metric `{metric}`.{hint} Known metrics: {', '.join(METRIC_NAMES)}.")
    return whole

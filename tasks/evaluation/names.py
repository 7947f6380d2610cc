"""What the metrics are called, which of them a kind of labels has, and in which range and direction they are read."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from difflib import get_close_matches
from typing import Any

from tasks.config import InputError, Kind

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
    "quadratic_kappa": (-1.0, 1.0),
    "mean_absolute_error": (0.0, math.inf),
    "subset_accuracy": (0.0, 1.0),
    "hamming_loss": (0.0, 1.0),
}
_OF_GRADES = ("quadratic_kappa", "mean_absolute_error")
_OF_SEVERAL_LABELS = ("subset_accuracy", "hamming_loss")
_OF_ONE_CLASS = ("accuracy", "balanced_accuracy", "cohen_kappa", "matthews_corrcoef")
_BY_CLASS = {"f1": "f1_macro", "precision": "precision_macro", "recall": "recall_macro", "roc_auc": "roc_auc"}
_LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece", "mean_absolute_error", "hamming_loss"})
_LONGEST_KEY = 100

METRIC_NAMES: tuple[str, ...] = tuple(_RANGES)
"""The metrics of the whole data set, of all kinds of labels; those of one class are `f1/<class>` and so on."""


def metrics_of(kind: Kind) -> tuple[str, ...]:
    """Return those of `METRIC_NAMES` that labels of this kind have, in the order in which they are shown."""
    if kind == "multilabel":
        others = {*_OF_ONE_CLASS, *_OF_GRADES, *_OF_SEVERAL_LABELS}
        return (*_OF_SEVERAL_LABELS, *(name for name in METRIC_NAMES if name not in others))
    left_out = {*_OF_SEVERAL_LABELS, *(() if kind == "ordinal" else _OF_GRADES)}
    return tuple(name for name in METRIC_NAMES if name not in left_out)


def higher_is_better(metric: str) -> bool:
    """Whether a larger value of this metric is the better one.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    return _whole(metric) not in _LOWER_IS_BETTER


def metric_range(metric: str, n_classes: int | None = None) -> tuple[float, float]:
    """Give the least and the largest value that this metric can take.

    Parameters
    ----------
    metric
        Its name.
    n_classes
        Number of classes or grades, which bounds `mean_absolute_error`; None: it has no bound.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    whole = _whole(metric)
    if whole == "mean_absolute_error" and n_classes is not None:
        return 0.0, n_classes - 1.0
    return _RANGES[whole]


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


def _whole(metric: str) -> str:
    name, _, label = metric.partition("/")
    whole = _BY_CLASS.get(name) if label else name
    if whole not in _RANGES:
        near: list[Any] = get_close_matches(metric, METRIC_NAMES, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise InputError(f"There is no metric `{metric}`.{hint} Known metrics: {', '.join(METRIC_NAMES)}.")
    return whole

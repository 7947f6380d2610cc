"""The audit's checks for shortcuts: what size, colour, file format and file name say about an image's class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.dataset.audit.findings import Finding, Severity, Subject
from tasks.dataset.folds.folds_file import Rows
from tasks.dataset.manifest import Manifest

LEAST_GAIN = 0.2
"""A rule is told of if it gains this share of the way from its baseline to a balanced accuracy of 1 ..."""
LARGEST_P = 0.01
"""... and if no larger share of shufflings of the labels does as well."""
PERMUTATIONS = 99
"""Number of times that the labels are shuffled."""

_BINS = 16
_RARE = 5
_MOST_VALUES = 500
_MOST_LABELS = 20


class _Shortcut(NamedTuple):
    severity: Severity
    what: str
    advice: str


_SHORTCUTS = {
    "labels.shortcut_size": _Shortcut(
        "warn",
        "an image's width and height",
        "A model can learn the shape from the stretching, and the size from the sharpness. See where each class comes "
        "from.",
    ),
    "labels.shortcut_colour": _Shortcut(
        "warn",
        "whether an image is in colour or in greys",
        "A model will learn that first. Make all images grey, or take each class from both kinds.",
    ),
    "labels.shortcut_format": _Shortcut(
        "warn",
        "the ending of the file name",
        "The classes were stored in different ways, which the pixels can show. Make all files from their sources in "
        "one way.",
    ),
    "labels.shortcut_name": _Shortcut(
        "note",
        "the pattern of the file name",
        "A model does not see names, but the classes may come from different places: see that camera, site and date do "
        "not follow the class.",
    ),
}


class RuleScore(NamedTuple):
    """How well a rule of one level tells the classes."""

    score: float
    """Balanced accuracy over the folds, each image judged by the rule of the other folds; 0 to 1."""
    baseline: float
    """The mean of the same for shuffled labels."""
    p: float
    """The share of shufflings that score as well or better, the data's own order included."""


def shortcut_findings(subject: Subject) -> Iterator[Finding]:
    """Yield `labels.shortcut_size`, `_colour`, `_format` and `_name`: a class that can be told without looking.

    For each, the best rule of one level is asked (Holte, Very simple classification rules perform well on most commonly
    used datasets, Machine Learning 11, 1993): for every width, height or shape, in bins, or every kind of name, the
    class that is most over-represented among the images of the other folds. Held-out images are left aside. Where an
    image has several labels, each of them is asked for, and the one that is told best is named.
    """
    pooled = (subject.table["part"] >= 0).to_numpy()
    part = subject.table["part"].to_numpy(dtype=np.int64)[pooled]
    questions = _questions(subject.manifest, pooled)
    if len(np.unique(part)) < 2 or not questions:
        return
    for code, columns in _features(subject, pooled).items():
        scores = {what: rule_score(columns, y, part) for what, y in questions.items()}
        what, found = max(scores.items(), key=lambda item: item[1].score - item[1].baseline)
        if found.p <= LARGEST_P and found.score - found.baseline >= LEAST_GAIN * (1 - found.baseline):
            severity, source, advice = _SHORTCUTS[code]
            message = (
                f"{what} can be told from {source} alone with a balanced accuracy of {found.score:.2f}; with shuffled "
                f"labels it is {found.baseline:.2f}."
            )
            yield Finding(code, severity, message, advice)


def _questions(manifest: Manifest, pooled: NDArray[np.bool_]) -> dict[str, Rows]:
    """Return what is to be told of the images, as numbers from 0 on; none that has the same answer for all."""
    y = manifest.y[pooled]
    if y.ndim == 1:
        asked = {"The class": y}
    else:
        asked = {f"The label {label!r}": y[:, place] for place, label in enumerate(manifest.classes[:_MOST_LABELS])}
    return {what: numbers for what, numbers in asked.items() if len(np.unique(numbers)) > 1}


def _features(subject: Subject, pooled: NDArray[np.bool_]) -> dict[str, list[Rows]]:
    table = subject.table[pooled]
    features = {
        "labels.shortcut_size": [
            _binned(table["width"]),
            _binned(table["height"]),
            _binned(table["width"] / table["height"]),
        ],
        "labels.shortcut_format": [_coded([PurePosixPath(path).suffix.lower() for path in table["path"]])],
    }
    if subject.facts is not None:
        features["labels.shortcut_colour"] = [subject.facts["colour"].to_numpy(dtype=np.int64)[pooled]]
    if not subject.data.labels.rules:
        features["labels.shortcut_name"] = [_coded(_name_patterns(table["path"], subject.manifest.classes))]
    return features


def rule_score(features: Sequence[Rows], y: Rows, part: Rows, *, seed: int = 0) -> RuleScore:
    """Return how well the best of some features tells the class by itself.

    Parameters
    ----------
    features : sequence of ndarrays of shape (n_images,), int64
        The values of each feature, as numbers from 0 on.
    y : ndarray of shape (n_images,), int64
        The class of every image.
    part : ndarray of shape (n_images,), int64
        The fold of every image, from 0 on; at least two folds.
    seed
        What the shuffling follows from.
    """
    random = np.random.default_rng(seed)
    score = _best(features, y, part)
    shuffled = [_best(features, random.permutation(y), part) for _ in range(PERMUTATIONS)]
    as_good = sum(other >= score for other in shuffled)
    return RuleScore(score, float(np.mean(shuffled)), (1 + as_good) / (1 + PERMUTATIONS))


def _best(features: Sequence[Rows], y: Rows, part: Rows) -> float:
    return max(_balanced_accuracy(values, y, part) for values in features)


def _balanced_accuracy(values: Rows, y: Rows, part: Rows) -> float:
    shape = int(part.max()) + 1, int(values.max()) + 1, int(y.max()) + 1
    test = np.bincount(np.ravel_multi_index((part, values, y), shape), minlength=int(np.prod(shape))).reshape(shape)
    train = test.sum(axis=0) - test
    share = train / np.maximum(train.sum(axis=1, keepdims=True), 1)
    told = np.where(train.any(axis=2), share.argmax(axis=2), -1)
    right = (test * (told[:, :, None] == np.arange(shape[2]))).sum(axis=(0, 1))
    present = test.sum(axis=(0, 1))
    return float((right[present > 0] / present[present > 0]).mean())


def _binned(values: pd.Series[float]) -> Rows:
    numbers = values.to_numpy(dtype=np.float64)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(edges, numbers, side="left").astype(np.int64)


def _coded(texts: Sequence[str]) -> Rows:
    """Each text as the place of its value, the commonest first; all rare values have one place."""
    codes, _ = pd.factorize(np.array(texts, dtype=object))
    counts = np.bincount(codes)
    places = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    n_common = min(int((counts >= _RARE).sum()), _MOST_VALUES)
    return np.minimum(places[codes], n_common).astype(np.int64)


def _name_patterns(paths: Sequence[str] | pd.Series[str], classes: Sequence[str]) -> list[str]:
    """File names without the classes' names and endings, every number as one sign."""
    names = sorted(classes, key=len, reverse=True)
    labels = re.compile("|".join(re.escape(name) for name in names), re.IGNORECASE)
    return [re.sub(r"\d+", "#", labels.sub("", PurePosixPath(path).stem)) for path in paths]

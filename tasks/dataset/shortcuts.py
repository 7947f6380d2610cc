"""The audit's checks for shortcuts: what size, colour, file format and file name say about an image's class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.dataset.audit_checks import Finding, Severity, Subject
from tasks.dataset.folds_file import Rows

LEAST_GAIN = 0.2
"""A rule is told of if it gains this share of the way from its baseline to a balanced accuracy of 1 ..."""
LARGEST_P = 0.01
"""... and if no larger share of shufflings of the labels does as well."""
PERMUTATIONS = 99
"""Number of times that the labels are shuffled."""

_BINS = 16
_RARE = 5
_MOST_VALUES = 500


class _Shortcut(NamedTuple):
    severity: Severity
    what: str
    advice: str


_SHORTCUTS = {
    "shortcuts.size": _Shortcut(
        "warn",
        "an image's width and height",
        "A model can learn the shape from the stretching, and the size from the sharpness. See where each class comes "
        "from.",
    ),
    "shortcuts.colour": _Shortcut(
        "warn",
        "whether an image is in colour or in greys",
        "A model will learn that first. Make all images grey, or take each class from both kinds.",
    ),
    "shortcuts.format": _Shortcut(
        "warn",
        "the ending of the file name",
        "The classes were stored in different ways, which the pixels can show. Make all files from their sources in "
        "one way.",
    ),
    "shortcuts.name": _Shortcut(
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


def shortcut_findings(subject: Subject, facts: pd.DataFrame, *, labels_from_names: bool = False) -> Iterator[Finding]:
    """Yield `shortcuts.size`, `.colour`, `.format` and `.name`: a class that can be told without looking.

    For each, the best rule of one level is asked (Holte, Very simple classification rules perform well on most commonly
    used datasets, Machine Learning 11, 1993): for every width, height or shape, in bins, or every kind of name, the
    class that is most over-represented among the images of the other folds.

    Parameters
    ----------
    subject
        The manifest and its folds; held-out images are left aside.
    facts
        One row an image of the manifest, with the columns of `PictureFacts`.
    labels_from_names
        Whether rules took the labels from the file names, which then tell the class for that reason.
    """
    pooled = (subject.table["part"] >= 0).to_numpy()
    table = subject.table[pooled]
    if table["part"].nunique() < 2 or table["label"].nunique() < 2:
        return
    features = {
        "shortcuts.size": [
            _binned(table["width"]),
            _binned(table["height"]),
            _binned(table["width"] / table["height"]),
        ],
        "shortcuts.colour": [facts["colour"].to_numpy(dtype=np.int64)[pooled]],
        "shortcuts.format": [_coded([PurePosixPath(path).suffix.lower() for path in table["path"]])],
        "shortcuts.name": [_coded(_name_patterns(table["path"], subject.manifest.classes))],
    }
    if labels_from_names:
        del features["shortcuts.name"]
    for code, columns in features.items():
        found = rule_score(columns, subject.manifest.y[pooled], table["part"].to_numpy(dtype=np.int64))
        if found.p <= LARGEST_P and found.score - found.baseline >= LEAST_GAIN * (1 - found.baseline):
            severity, what, advice = _SHORTCUTS[code]
            message = (
                f"The class can be told from {what} alone with a balanced accuracy of {found.score:.2f}; with shuffled "
                f"labels it is {found.baseline:.2f}."
            )
            yield Finding(code, severity, message, advice)


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

"""What images are explained for: classes, labels and grades, or what speaks for one of two and not for the other.

A method of explanation takes a score that is linear in the logits: a column of `logits @ score_matrix(...)`. The first
columns are the classes', and each difference of two classes has one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.config import InputError, Kind
from tasks.evaluation.outputs import class_scores, explained_class


@dataclass(frozen=True)
class Likeliest:
    """The `n` likeliest classes of each image; all where there are fewer."""

    n: int


@dataclass(frozen=True)
class Named:
    """The same classes for every image, by name, in this order."""

    classes: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Why the class `of` and not the class `against`: the logit of the one less that of the other."""

    of: str
    against: str

    @property
    def name(self) -> str:
        """How people read it."""
        return f"{self.of}, not {self.against}"


How = Literal["predicted", "true", "positive"] | Likeliest | Named | Difference
"""`predicted`: the class, the label or the decoded grade that `tasks.evaluation.outputs.explained_class` chooses;
`true`: the image's own class or grade, or each of its labels; `positive`: every label that reaches its threshold."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Pairs of an image and what it is explained for, ordered by image; an image may have several, or none.

    Attributes
    ----------
    images : ndarray of shape (n_targets,), int64
        The image's row.
    columns : ndarray of shape (n_targets,), int64
        The column of `score_matrix`, which is what a method takes as its target.
    names : tuple of str
        What people read.
    probabilities : ndarray of shape (n_targets,), float64, 0 to 1
        Of the class; of the first of the two for a difference.
    """

    images: NDArray[np.int64]
    columns: NDArray[np.int64]
    names: tuple[str, ...]
    probabilities: NDArray[np.float64]


def choose_targets(
    probabilities: NDArray[Any],
    how: How,
    kind: Kind,
    classes: Sequence[str],
    true: NDArray[Any] | None = None,
    *,
    thresholds: Any = 0.5,
    differences: Sequence[Difference] = (),
) -> Targets:
    """Choose what each image is explained for.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), 0 to 1
        From `tasks.evaluation.outputs.class_probabilities`; those of one sigmoid as `both_classes` gives them.
    how : How
        Which.
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    classes : sequence of str of length n_classes
        Names of the classes, labels or grades.
    true : ndarray of shape (n,), int, or (n, n_classes), 0 or 1, for `multilabel`; or None
        What the images are; None: not known.
    thresholds : float, or sequence of float of length n_classes
        From which probability on an image has a label; for `multilabel` only.
    differences : sequence of Difference
        The differences that the score matrix was made with; () where `how` is its only one.

    Raises
    ------
    InputError
        A class is unknown (the nearest is told) or its name is borne by two, there are no true labels or no labels
        to be positive, or a number of classes is below 1.
    ValueError
        If there is not a column of probabilities a class, or `how` is not among the differences.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] != len(classes):
        raise ValueError(f"{len(classes)} classes need probabilities of shape (n, {len(classes)})")
    if isinstance(how, Difference):
        return _of_difference(probabilities, how, classes, differences)
    if isinstance(how, Named):
        numbers = list(dict.fromkeys(class_number(name, classes) for name in how.classes))
        return _of_table(probabilities, np.tile(np.array(numbers, np.int64), (len(probabilities), 1)), classes)
    if isinstance(how, Likeliest):
        if how.n < 1:
            raise InputError(f"The number of likeliest classes to explain is {how.n}; it must be 1 or more.")
        return _of_table(probabilities, np.argsort(-probabilities, axis=1, kind="stable")[:, : how.n], classes)
    if how == "positive":
        return _of_labels(probabilities, _positive(probabilities, kind, thresholds), classes)
    if how == "true":
        return _of_true(probabilities, true, kind, classes)
    return _of_table(probabilities, explained_class(probabilities, kind, thresholds)[:, None], classes)


def score_matrix(
    kind: Kind, classes: Sequence[str], n_outputs: int | None = None, differences: Sequence[Difference] = ()
) -> NDArray[np.float32]:
    """Return the matrix that makes of logits what speaks for each class, and for one of two and not for the other.

    Parameters
    ----------
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    classes : sequence of str
        Names of the classes, labels or grades.
    n_outputs : int or None
        The model's number of logits; None: one a class. A single logit speaks for the second of two classes, and its
        negative for the first.
    differences : sequence of Difference
        Each has a column behind those of the classes, in this order.

    Returns
    -------
    ndarray of shape (n_outputs, n_classes + n_differences), float32
        What methods take as `class_scores`.

    Raises
    ------
    InputError
        A class of a difference is unknown, or the same one stands on both sides.
    ValueError
        If so many logits do not go with so many classes.
    """
    n_classes = len(classes)
    if n_outputs not in (None, n_classes) and (n_outputs, n_classes) != (1, 2):
        raise ValueError(f"{n_outputs} logits do not go with {n_classes} classes")
    single = n_outputs == 1 and n_classes == 2
    scores = np.array([[-1, 1]], dtype=np.float32) if single else class_scores(kind, n_classes)
    columns = [scores]
    for difference in differences:
        of, against = class_number(difference.of, classes), class_number(difference.against, classes)
        if of == against:
            raise InputError(f"The class {classes[of]!r} cannot be told from itself: name two classes to compare.")
        columns.append(scores[:, [of]] - scores[:, [against]])
    return np.concatenate(columns, axis=1)


def both_classes(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of both classes, of shape (n, 2), from those of the second, of shape (n, 1)."""
    second = np.asarray(outputs, dtype=np.float64)
    return np.concatenate([1 - second, second], axis=1)


def class_number(name: str, classes: Sequence[str]) -> int:
    """Give the place of a class by its name; case does not matter, and blanks are as good as `_`.

    Raises
    ------
    InputError
        There is no such class (the nearest are told), or two have the name.
    """
    keys, key = [_key(known) for known in classes], _key(name)
    exact = [place for place, known in enumerate(classes) if known == name]
    places = exact if len(exact) == 1 else [place for place, known in enumerate(keys) if known == key]
    if len(places) == 1:
        return places[0]
    if places:
        raise InputError(f"{len(places)} classes are called {name!r}, so that none can be explained by that name.")
    near = [classes[keys.index(close)] for close in get_close_matches(key, keys, n=3)]
    if near:
        told = f"The nearest: {', '.join(near)}."
    else:
        told = f"The classes are: {', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}."
    raise InputError(f"There is no class called {name!r} to explain. {told}")


def _of_difference(
    probabilities: NDArray[np.float64], how: Difference, classes: Sequence[str], differences: Sequence[Difference]
) -> Targets:
    of, _ = class_number(how.of, classes), class_number(how.against, classes)
    known, n = list(differences) or [how], len(probabilities)
    columns = np.full(n, len(classes) + known.index(how), dtype=np.int64)
    return Targets(np.arange(n), columns, (how.name,) * n, probabilities[:, of])


def _of_table(probabilities: NDArray[np.float64], chosen: NDArray[np.int64], classes: Sequence[str]) -> Targets:
    """Give the targets of as many classes an image, from a table of shape (n, n_chosen)."""
    images = np.repeat(np.arange(len(chosen)), chosen.shape[1])
    return _targets(probabilities, images, chosen.ravel(), classes)


def _of_labels(probabilities: NDArray[np.float64], has: NDArray[np.bool_], classes: Sequence[str]) -> Targets:
    images, columns = np.nonzero(has)
    return _targets(probabilities, images, columns, classes)


def _of_true(
    probabilities: NDArray[np.float64], true: NDArray[Any] | None, kind: Kind, classes: Sequence[str]
) -> Targets:
    if true is None:
        raise InputError(
            "The true class is to be explained, but the images have no labels. Explain the predicted class, the "
            "likeliest ones, or classes by name."
        )
    if kind == "multilabel":
        return _of_labels(probabilities, np.asarray(true) > 0, classes)
    return _of_table(probabilities, np.asarray(true, dtype=np.int64)[:, None], classes)


def _positive(probabilities: NDArray[np.float64], kind: Kind, thresholds: Any) -> NDArray[np.bool_]:
    if kind != "multilabel":
        raise InputError(
            "Every positive label can be explained only where an image may have several labels (kind: multilabel). "
            "Explain the predicted class or the likeliest ones."
        )
    return np.asarray(probabilities >= np.asarray(thresholds))


def _targets(
    probabilities: NDArray[np.float64], images: NDArray[Any], columns: NDArray[Any], classes: Sequence[str]
) -> Targets:
    names = tuple(classes[column] for column in columns)
    return Targets(images.astype(np.int64), columns.astype(np.int64), names, probabilities[images, columns])


def _key(text: str) -> str:
    return "_".join(text.casefold().replace("_", " ").split())

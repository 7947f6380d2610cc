"""What is to be told of an image: the kind of its labels, the classes in order, and labels as numbers and as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.config import Data, InputError, Kind, holds_controls
from tasks.dataset.labels import in_order, label_parts, plain
from tasks.dataset.wording import listed


@dataclass(frozen=True)
class Targets:
    """The labels of a data set.

    Attributes
    ----------
    classes : tuple of str
        The classes, labels or grades in order; a class's place is its number everywhere.
    kind : {"multiclass", "multilabel", "ordinal"}
        One class an image, any number of labels, or a grade.
    separator : str
        What stands between the labels of an image in a text (multilabel only).
    none_label : str or None
        What an image without any label is called (multilabel only); None: the empty text.
    """

    classes: tuple[str, ...]
    kind: Kind = "multiclass"
    separator: str = " "
    none_label: str | None = None

    @property
    def none_name(self) -> str:
        """What people are told of an image without any label."""
        return self.none_label or "no label"

    def numbers(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Return labels as numbers: of shape (n,), or (n, n_classes), 0 or 1, for several labels an image.

        Raises
        ------
        KeyError
            If a label is none of the classes.
        """
        place = {label: index for index, label in enumerate(self.classes)}
        if self.kind != "multilabel":
            return np.array([place[label] for label in labels], dtype=np.int64)
        y = np.zeros((len(labels), len(self.classes)), dtype=np.int64)
        for row, text in enumerate(labels):
            y[row, [place[label] for label in self.parts(text)]] = 1
        return y

    def texts(self, y: NDArray[np.int64]) -> list[str]:
        """Return numbers as labels, as `numbers` takes them; several labels in the order of the classes."""
        if self.kind != "multilabel":
            return [self.classes[number] for number in np.asarray(y).tolist()]
        return [self.text(self.classes[number] for number in np.flatnonzero(row)) for row in np.asarray(y)]

    def parts(self, text: str) -> list[str]:
        """Return the labels that a text holds; none where it says that there is none."""
        if self.kind != "multilabel":
            return [text]
        return [] if text == (self.none_label or "") else text.split(self.separator)

    def text(self, labels: Iterable[str]) -> str:
        """Return the text that says that an image has these labels, in the order of the classes."""
        given = set(labels)
        return self.separator.join(label for label in self.classes if label in given) or self.none_label or ""


def memberships(y: NDArray[np.int64], n_classes: int) -> NDArray[np.bool_]:
    """Return which image is of which class, of shape (n_images, n_classes), for numbers of either shape."""
    members: NDArray[np.bool_] = y == 1 if y.ndim == 2 else y[:, None] == np.arange(n_classes)
    return members


def read_labels(labelled: Sequence[tuple[str, str]], data: Data) -> tuple[Targets, list[str]]:
    """Return what the labels of a data set are, and the label of every image as `Targets.texts` writes it.

    Parameters
    ----------
    labelled : sequence of (str, str)
        Each image's path, for messages, and its label as the data has it.
    data
        The experiment file's `data`.

    Raises
    ------
    InputError
        If there are too few classes, a label is not among `data.classes`, grades have no order, or an image has both
        the label for none and others.
    """
    wanted = data.labels
    several = wanted.target_kind == "multilabel"
    none_label = None if wanted.none_label is None else plain(wanted.none_label)
    given = [label_parts(text, wanted.separator) if several else [text] for _, text in labelled]
    if several and none_label is not None:
        given = [_without(none_label, parts, path) for parts, (path, _) in zip(given, labelled, strict=True)]
    examples = {label: path for parts, (path, _) in zip(given, labelled, strict=True) for label in parts}
    classes = in_order(examples) if data.classes is None else [plain(name) for name in data.classes]
    if len(set(classes)) != len(classes):
        raise InputError(f"data.classes names a class twice: {listed(classes, 20)}.")
    if none_label in classes:
        raise InputError(f"data.classes names {none_label!r}, which data.labels.none_label says is no label.")
    _refuse_odd_names(classes, examples, wanted.separator if several else None)
    if unknown := sorted(set(examples) - set(classes)):
        raise InputError(
            f"The label {listed(unknown)} (as of {examples[unknown[0]]}) is not in data.classes "
            f"({listed(classes, 20)}). Add it there, or take its images out of the data."
        )
    _refuse_number(classes, none_label, data)
    if wanted.kind == "ordinal" and data.classes is None:
        _refuse_unordered(classes)
    targets = Targets(tuple(classes), wanted.target_kind, wanted.separator, none_label)
    return targets, [targets.text(parts) if several else parts[0] for parts in given]


def _without(none_label: str, parts: list[str], path: str) -> list[str]:
    left = [part for part in parts if part != none_label]
    if left and len(left) < len(parts):
        raise InputError(
            f"The image {path} has the label {none_label!r}, which data.labels.none_label says means none, and others "
            f"too: {listed(left)}. Mend its labels."
        )
    return left


def _refuse_number(classes: list[str], none_label: str | None, data: Data) -> None:
    kind = data.labels.kind
    if kind == "binary" and len(classes) != 2:
        raise InputError(
            f"data.labels.kind is binary, and the data below {data.path} has {len(classes)} classes: "
            f"{listed(classes, 20)}. Say multiclass, or leave the kind out."
        )
    if len(classes) < 2:
        several = " (with data.labels.kind: multilabel, two labels)" if kind == "multilabel" else ""
        only = classes[0] if classes else none_label
        raise InputError(
            f"All images below {data.path} have one label, {only!r}, and there must be two classes at least"
            f"{several}. With data.path at the folder above the class folders, each class folder gives a label; "
            "data.labels.rules take it from the file names."
        )


def _refuse_odd_names(classes: list[str], examples: dict[str, str], separator: str | None) -> None:
    for name in classes:
        if holds_controls(name):
            raise InputError(
                f"The label {name!r} (as of {examples.get(name, 'data.classes')}) holds a line break or another "
                "control character. Rename it."
            )
        if separator is not None and separator in name:
            raise InputError(
                f"data.classes names {name!r}, which holds data.labels.separator, {separator!r}, so that no image can "
                "have it. Name another separator, or the label without it."
            )


def _refuse_unordered(classes: list[str]) -> None:
    words = [name for name in classes if not re.fullmatch("[+-]?[0-9]+", name, re.ASCII)]
    if words:
        raise InputError(
            f"data.labels.kind is ordinal, and the grade {listed(words)} is no whole number, so the order of the "
            "grades is not known. Give all of them in order, the lowest first, as data.classes."
        )

"""A guess at what kind of labels a data set has, from the labels that are there."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from tasks.dataset.labels import in_order, label_parts

SEPARATORS = ("|", ";", ",", " ")
"""What labels may be joined by, the likeliest first; blanks around them do not matter."""
NONE_WORDS = frozenset({"healthy", "none", "normal", "nothing", "no finding", "no_finding", "no findings", "clear"})
"""Labels, in small letters, that seem to say that an image has none of the others."""
_FEWEST_GRADES = 3


@dataclass(frozen=True)
class JoinedLabels:
    """Several labels an image, as cells of a table seem to have them."""

    separator: str
    """What stands between them."""
    labels: tuple[str, ...]
    """The labels one by one, in order, without `none_label`."""
    none_label: str | None
    """The label that seems to say that there is none of the others, or None."""


def guess_joined(cells: Collection[str]) -> JoinedLabels | None:
    """Return the labels that cells of a table seem to be joined of, or None if each cell seems to be one label.

    They seem joined if some cell has two parts or more and each part of such a cell is a whole cell elsewhere, as with
    `scab`, `rust` and `scab rust`, and not with `large leaf` and `small leaf`.

    Parameters
    ----------
    cells
        The different cells.
    """
    for separator in SEPARATORS:
        parts = [label_parts(cell, separator) for cell in cells]
        joined = {part for several in parts if len(several) > 1 for part in several}
        alone = {several[0] for several in parts if len(several) == 1}
        if len(joined) > 1 and joined <= alone:
            nothing = [label for label in sorted(alone - joined) if label.casefold() in NONE_WORDS]
            none_label = nothing[0] if len(nothing) == 1 else None
            return JoinedLabels(separator, tuple(in_order(alone - {none_label})), none_label)
    return None


def are_grades(labels: Collection[str]) -> bool:
    """Return whether the labels are three or more whole numbers in a row from 0 or 1 on, as grades are."""
    if len(labels) < _FEWEST_GRADES or not all(re.fullmatch("[0-9]{1,9}", label, re.ASCII) for label in labels):
        return False
    numbers = sorted(int(label) for label in labels)
    return numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))

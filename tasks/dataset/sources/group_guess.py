"""A guess at what must not be split between folds, from columns and names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.dataset.labels import label_parts
from tasks.dataset.sources.label_guess import guess_joined
from tasks.dataset.sources.records import ImageRecord
from tasks.dataset.sources.table_columns import GROUP_COLUMNS

Labels = Mapping[str, list[str]]

_PATTERNS = (
    r"(?<![A-Za-z])(?i:patient|subject|person|infant|baby|plant|case|subj|pat|id)[ _-]?(?P<group>[0-9]+)",
    r"(?:^|/)[^/_-]+[_-](?P<group>[^/_-]+)[_-][0-9]+[.][^./]+$",
)
_FOLDER_BELOW_CLASS = {
    "class_folders": r"^[^/]+/(?P<group>[^/]+)/",
    "split_folders": r"^[^/]+/[^/]+/(?P<group>[^/]+)/",
}


@dataclass(frozen=True)
class GroupGuess:
    """Where groups seem to be written."""

    pattern: str | None = None
    """A regular expression that finds them in every path, or None."""
    column: str | None = None
    """A column of the table that holds them, or None."""
    fewest: int = 0
    """How many groups the class or label with the fewest has outside the test split."""


def guess_groups(records: Sequence[ImageRecord], reader: str) -> GroupGuess:
    """Return the first column, else the first pattern, that gives every image a group with others in most of them.

    Parameters
    ----------
    records
        The images.
    reader
        The name of the reader that read them.
    """
    labels = _labels(records, several=reader in ("table", "arrays"))
    for column, values in _columns(records).items():
        if column == GROUP_COLUMNS[0] or _is_plausible(values, records, labels):
            return GroupGuess(column=column, fewest=_fewest(values, records, labels))
    folder = _FOLDER_BELOW_CLASS.get(reader)
    for pattern in (*_PATTERNS, *([folder] if folder else [])):
        matches = [re.search(pattern, record.relative) for record in records]
        values = [match["group"] if match else "" for match in matches]
        if _is_plausible(values, records, labels):
            return GroupGuess(pattern=pattern, fewest=_fewest(values, records, labels))
    return GroupGuess()


def _columns(records: Sequence[ImageRecord]) -> dict[str, list[str]]:
    """Return the columns with usual names for groups; first the one that the reader takes by itself."""
    if all(record.group is not None for record in records):
        return {GROUP_COLUMNS[0]: [record.group or "" for record in records]}
    names = {name for record in records for name in record.extra if name.casefold() in GROUP_COLUMNS}
    in_order = sorted(names, key=lambda name: GROUP_COLUMNS.index(name.casefold()))
    return {name: [record.extra.get(name, "") for record in records] for name in in_order}


def _is_plausible(values: Sequence[str], records: Sequence[ImageRecord], labels: Labels) -> bool:
    n_groups, n_classes = len(set(values)), len({label for record in records for label in labels[record.label]})
    return all(values) and n_groups > n_classes and n_groups * 1.5 <= len(values)


def _labels(records: Sequence[ImageRecord], several: bool) -> Labels:
    """Return what each text says: itself, or the labels that it is joined of, the one for none left out."""
    texts = {record.label for record in records}
    joined = guess_joined(texts) if several else None
    if joined is None:
        return {text: [text] for text in texts}
    return {text: [part for part in label_parts(text, joined.separator) if part in joined.labels] for text in texts}


def _fewest(values: Sequence[str], records: Sequence[ImageRecord], labels: Labels) -> int:
    named = [(record, group) for record, group in zip(records, values, strict=True) if record.split != "test"]
    pairs = {(label, group) for record, group in named for label in labels[record.label]}
    return min(Counter(label for label, _ in pairs).values(), default=0)

"""A first look at a folder of images, for an experiment file to start from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from statistics import median

from PIL import Image

from tasks.config import Data, InputError, LabelRule, Labels, Table
from tasks.dataset.labels import in_order
from tasks.dataset.pixels.addresses import split_address
from tasks.dataset.pixels.arrays import open_array
from tasks.dataset.sources.array_reader import arrays_in, table_of
from tasks.dataset.sources.group_guess import guess_groups
from tasks.dataset.sources.readers import ImageRecord, checked_root, find_reader, read_records
from tasks.dataset.sources.table import read_table
from tasks.dataset.sources.table_columns import IMAGE_COLUMNS, LABEL_COLUMNS, columns_of
from tasks.dataset.sources.table_reader import find_table
from tasks.dataset.sources.tree import image_files

_MEASURED = 200
_MOST_CLASSES = 20
_UNKNOWN = "?"


@dataclass(frozen=True)
class FolderSummary:
    """What a folder of images seems to be."""

    path: Path
    """The folder; the starter file names it as it stands here."""
    reader: str
    """The name of the reader that fits."""
    n_images: int
    """How many images there are, those without a label left out."""
    classes: dict[str, int]
    """The number of images by class; empty if neither folders nor file names tell the classes."""
    splits: dict[str, int] = field(default_factory=dict)
    """The number of images by split, where there are splits."""
    folds: dict[str, int] = field(default_factory=dict)
    """The number of images by ready-made fold, where there are folds."""
    rules: dict[str, str] = field(default_factory=dict)
    """Where the labels seem to come from file names: a regular expression by label."""
    table: Table | None = None
    """The table and its columns, where a table tells the labels."""
    groups: str | None = None
    """A regular expression that seems to find what must not be split, such as a patient."""
    group_column: str | None = None
    """A column of the table that seems to hold it."""
    fewest_groups: int = 0
    """How many such groups the class or label with the fewest has outside the test split."""
    n_unlabelled: int = 0
    """How many images of a table or of arrays have no label."""
    median_size: tuple[int, int] | None = None
    """Median width and height in pixels of a sample of the images."""


def describe_folder(path: Path) -> FolderSummary:
    """Return what a folder of images seems to be, without decoding the images.

    Raises
    ------
    InputError
        If the folder is missing, holds no image, or is laid out in a way that no reader takes.
    """
    root = checked_root(path)
    reader = find_reader("auto", root).name
    table = _table(root, reader)
    rules: dict[str, str] = {}
    if table is not None:
        found = read_records(Data(path=root, reader=reader, table=table, on_corrupt="skip", unlabelled="skip"))
    else:
        found, rules = _records_and_rules(root, reader)
    records = [record for record in found if record.flaw is None]
    groups = guess_groups(records, reader)
    return FolderSummary(
        path=path,
        reader=reader,
        n_images=len(records),
        classes=_counts([record.label for record in records if record.label != _UNKNOWN]),
        splits=_counts([record.split for record in records]),
        folds=_counts([record.fold for record in records]),
        rules=rules,
        table=table,
        groups=groups.pattern,
        group_column=groups.column,
        fewest_groups=groups.fewest,
        n_unlabelled=len(found) - len(records),
        median_size=_median_size(root, records),
    )


def _records_and_rules(root: Path, reader: str) -> tuple[list[ImageRecord], dict[str, str]]:
    """Return the records of folders; where these do not tell the labels, by rules for file names that seem to."""
    try:
        return read_records(Data(path=root, reader=reader)), {}
    except InputError:
        if reader not in ("loose_files", "fold_folders"):
            raise
    rules = _rules(image_files(root))
    forms = [LabelRule(label=label, regex=regex) for label, regex in rules.items()]
    labels = Labels(rules=forms or [LabelRule(label=_UNKNOWN, glob="*")])
    return read_records(Data(path=root, reader=reader, labels=labels)), rules


def _table(root: Path, reader: str) -> Table | None:
    """Return the table and its columns by name; of the tables beside arrays, the columns of the first."""
    if reader == "table":
        path = find_table(root)
    elif reader == "arrays":
        path = next((table for array in arrays_in(root) if (table := table_of(array))), None)
    else:
        path = None
    if path is None:
        return None
    content = read_table(path, IMAGE_COLUMNS + LABEL_COLUMNS)
    columns = columns_of(content, Data(path=root))
    image, label, split, fold = (None if place is None else content.columns[place] for place in columns[:4])
    if reader == "arrays":
        return Table(label=label, split=split, fold=fold)
    return Table(file=Path(path.name), image=image, label=label, split=split, fold=fold)


def _counts(values: Sequence[str | None]) -> dict[str, int]:
    counts = Counter(value for value in values if value is not None)
    return {value: counts[value] for value in in_order(counts)}


def _rules(names: list[str]) -> dict[str, str]:
    """Return a rule for each first word of the file names, if there are few words and each has several images."""
    words = [re.match(r"[^\W\d_]+", PurePosixPath(name).name) for name in names]
    found = Counter(word[0] for word in words if word)
    plausible = 2 <= len(found) <= _MOST_CLASSES and min(found.values()) > 1 and None not in words
    return {word: rf"^{re.escape(word)}(?![^\W\d_])" for word in sorted(found)} if plausible else {}


def _median_size(root: Path, records: Sequence[ImageRecord]) -> tuple[int, int] | None:
    step = max(1, -(-len(records) // _MEASURED))
    sizes = [size for record in records[::step] if (size := _size(root, record))]
    if not sizes:
        return None
    return round(median(width for width, _ in sizes)), round(median(height for _, height in sizes))


def _size(root: Path, record: ImageRecord) -> tuple[int, int] | None:
    file, row = split_address(record.relative)
    if row is not None:
        height, width = open_array(root / file).shape[1:3]
        return width, height
    try:
        with Image.open(root / file) as image:
            return image.size
    except Exception:  # what a damaged file raises is for the audit to say
        return None

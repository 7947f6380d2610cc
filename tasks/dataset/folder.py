"""A first look at a folder of images, for an experiment file to start from."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from statistics import median

from PIL import Image

from tasks.config import Data, InputError, LabelRule, Labels
from tasks.dataset.readers import ImageRecord, checked_root, find_reader, read_records
from tasks.dataset.tree import image_files

_MEASURED = 200
_MOST_CLASSES = 20
_UNKNOWN = "?"
_GROUP_PATTERNS = (
    r"(?<![A-Za-z])(?i:patient|subject|person|infant|baby|plant|case|subj|pat|id)[ _-]?(?P<group>[0-9]+)",
    r"(?:^|/)[^/_-]+[_-](?P<group>[^/_-]+)[_-][0-9]+[.][^./]+$",
)
_FOLDER_BELOW_CLASS = {
    "class_folders": r"^[^/]+/(?P<group>[^/]+)/",
    "split_folders": r"^[^/]+/[^/]+/(?P<group>[^/]+)/",
}


@dataclass(frozen=True)
class FolderSummary:
    """What a folder of images seems to be."""

    path: Path
    """The folder; the starter file names it as it stands here."""
    reader: str
    """The name of the reader that fits."""
    n_images: int
    classes: dict[str, int]
    """The number of images by class; empty if neither folders nor file names tell the classes."""
    splits: dict[str, int] = field(default_factory=dict)
    """The number of images by split, where there are splits."""
    folds: dict[str, int] = field(default_factory=dict)
    """The number of images by ready-made fold, where there are folds."""
    rules: dict[str, str] = field(default_factory=dict)
    """Where the labels seem to come from file names: a regular expression by label."""
    groups: str | None = None
    """A regular expression that seems to find what must not be split, such as a patient."""
    fewest_groups: int = 0
    """How many such groups the class with the fewest has outside the test split."""
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
    rules: dict[str, str] = {}
    try:
        records = read_records(Data(path=root, reader=reader))
    except InputError:
        if reader not in ("loose_files", "fold_folders"):
            raise
        rules = _rules(image_files(root)[0])
        forms = [LabelRule(label=label, regex=regex) for label, regex in rules.items()]
        labels = Labels(rules=forms or [LabelRule(label=_UNKNOWN, glob="*")])
        records = read_records(Data(path=root, reader=reader, labels=labels))
    groups, fewest = _groups(records, reader)
    return FolderSummary(
        path=path,
        reader=reader,
        n_images=len(records),
        classes=_counts([record.label for record in records if record.label != _UNKNOWN]),
        splits=_counts([record.split for record in records]),
        folds=_counts([record.fold for record in records]),
        rules=rules,
        groups=groups,
        fewest_groups=fewest,
        median_size=_median_size([record.path for record in records]),
    )


def _counts(values: list[str] | list[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(value for value in values if value is not None).items()))


def _rules(names: list[str]) -> dict[str, str]:
    """Return a rule for each first word of the file names, if there are few words and each has several images."""
    words = [re.match(r"[^\W\d_]+", PurePosixPath(name).name) for name in names]
    found = Counter(word[0] for word in words if word)
    plausible = 2 <= len(found) <= _MOST_CLASSES and min(found.values()) > 1 and None not in words
    return {word: rf"^{re.escape(word)}(?![^\W\d_])" for word in sorted(found)} if plausible else {}


def _groups(records: list[ImageRecord], reader: str) -> tuple[str | None, int]:
    """Return the first pattern that groups every image with others, and the fewest groups that a class has."""
    folder = _FOLDER_BELOW_CLASS.get(reader)
    for pattern in (*_GROUP_PATTERNS, *([folder] if folder else [])):
        matches = [re.search(pattern, record.relative) for record in records]
        groups = [match["group"] for match in matches if match]
        enough = len(groups) == len(records) and len(set(groups)) > len({record.label for record in records})
        if enough and len(set(groups)) * 1.5 <= len(groups):
            named = zip(records, groups, strict=True)
            pairs = {(record.label, group) for record, group in named if record.split != "test"}
            return pattern, min(Counter(label for label, _ in pairs).values(), default=0)
    return None, 0


def _median_size(paths: list[Path]) -> tuple[int, int] | None:
    step = -(-len(paths) // _MEASURED)
    sizes = [size for path in paths[::step] if (size := _size(path))]
    if not sizes:
        return None
    return round(median(width for width, _ in sizes)), round(median(height for _, height in sizes))


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except Exception:  # what a damaged file raises is for the audit to say
        return None

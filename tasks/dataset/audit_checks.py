"""The audit's checks: each looks at the manifest and its folds, and yields what it finds under a stable code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import counted, listed

Severity = Literal["stop", "warn", "note"]

IMBALANCE = 10.0
"""From this ratio of the largest class to the smallest, the audit speaks of imbalance."""
FEW_IMAGES = 20
"""A class with fewer images than this is called small."""
SMALL_SIDE = 32
"""An image whose shorter side has fewer pixels than this is called tiny."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that a person should know before believing a result."""

    code: str
    """Stable, such as `duplicates.across_folds`."""
    severity: Severity
    """`stop`: results would be wrong; `warn`: they may be; `note`: worth knowing."""
    message: str
    """What was found."""
    advice: str
    """What to do about it."""
    images: tuple[str, ...] = ()
    """Paths of the images concerned, below the data folder; empty if it concerns the data as a whole."""


@dataclass(frozen=True)
class Subject:
    """What the checks look at: the manifest, and its table with the column `part` (the fold's number; -1: held out)."""

    manifest: Manifest
    table: pd.DataFrame
    n_ignored_files: int


Check = Callable[[Subject], Iterator[Finding]]


def find_all(subject: Subject) -> tuple[Finding, ...]:
    """Return the findings of all checks, the gravest first."""
    found = [finding for check in CHECKS for finding in check(subject)]
    return tuple(sorted(found, key=lambda finding: ("stop", "warn", "note").index(finding.severity)))


def unreadable_files(subject: Subject) -> Iterator[Finding]:
    """Yield `files.unreadable`: images that cannot be decoded, or have no label, and are left out."""
    rejected = subject.manifest.rejected
    if len(rejected):
        shown = [f"{path} ({reason})" for path, reason in zip(rejected["path"], rejected["reason"], strict=True)]
        yield Finding(
            "files.unreadable",
            "warn",
            f"Left out: {counted(len(rejected), 'image')}: {listed(shown)}.",
            "Restore them from their source, or remove them.",
            tuple(rejected["path"]),
        )


def ignored_files(subject: Subject) -> Iterator[Finding]:
    """Yield `files.ignored`: files that are no images by their names."""
    if subject.n_ignored_files:
        yield Finding(
            "files.ignored",
            "note",
            f"Ignored, since the name does not end as an image's: {counted(subject.n_ignored_files, 'file')}.",
            "Nothing to do, unless images with an unusual ending are among them.",
        )


def duplicates(subject: Subject) -> Iterator[Finding]:
    """Yield `duplicates.labels`, `duplicates.across_folds` and `duplicates.exact`: same pixels under several names."""
    table = subject.table[subject.table["sha256"].duplicated(keep=False)]
    if table.empty:
        return
    by_pixels = table.groupby("sha256", sort=False)
    unlike = table[by_pixels["label"].transform("nunique") > 1]
    if not unlike.empty:
        yield _same_pixels(
            "duplicates.labels",
            "warn",
            "under different labels",
            "At least one label of each is wrong: correct it, or remove the images.",
            unlike,
        )
    across = table[by_pixels["part"].transform("nunique") > 1]
    if not across.empty:
        yield _same_pixels(
            "duplicates.across_folds",
            "warn",
            "in different folds, or in the holdout too, so that models are tested on what they were trained on",
            "Remove the copies, or give data.groups a pattern that keeps them together.",
            across,
        )
    yield _same_pixels(
        "duplicates.exact", "note", "under several names", "Keep one of each, unless they are meant.", table
    )


def split_groups(subject: Subject) -> Iterator[Finding]:
    """Yield `groups.holdout`: groups that are both in the folds and held out."""
    table = subject.table[subject.table["group"].notna()]
    held = table["part"] < 0
    both = sorted(set(table["group"][held]) & set(table["group"][~held]))
    if both:
        yield Finding(
            "groups.holdout",
            "warn",
            f"Both in the folds and in the holdout: {counted(len(both), 'group')}: {listed(both)}.",
            "The holdout's score flatters. Use data.holdout: none, or mend the data's own split.",
            tuple(table["path"][held & table["group"].isin(both)]),
        )


def missing_classes(subject: Subject) -> Iterator[Finding]:
    """Yield `folds.missing_class`: folds without any image of a class."""
    pooled = subject.table[subject.table["part"] >= 0]
    counts = pd.crosstab(pooled["part"], pooled["label"]).reindex(columns=list(subject.manifest.classes), fill_value=0)
    lacking = [
        f"fold {fold}: {listed(row.index[row == 0])}" for fold, row in counts.iterrows() if bool((row == 0).any())
    ]
    if lacking:
        yield Finding(
            "folds.missing_class",
            "warn",
            f"Without any image of a class, so that some metrics are undefined there: {listed(lacking)}.",
            "Use fewer folds, or let foldcam cut them.",
        )


def class_sizes(subject: Subject) -> Iterator[Finding]:
    """Yield `labels.imbalance` and `labels.few`: classes of very unequal size, and small ones."""
    counts = subject.table["label"].value_counts().reindex(list(subject.manifest.classes), fill_value=0)
    least, most = counts.min(), counts.max()
    if most > IMBALANCE * least:
        yield Finding(
            "labels.imbalance",
            "note",
            f"The class {counts.idxmax()!r} has {counted(int(most), 'image')}, {counts.idxmin()!r} has {least:,}.",
            "Rank by balanced_accuracy rather than accuracy; training.class_weights: balanced may help.",
        )
    few = counts[counts < FEW_IMAGES]
    if not few.empty:
        shown = [f"{label!r} ({count})" for label, count in few.items()]
        yield Finding(
            "labels.few",
            "note",
            f"Fewer than {FEW_IMAGES} images: {counted(len(few), 'class', 'classes')}: {listed(shown)}.",
            "Their figures rest on a handful of images: read the confidence intervals.",
            tuple(subject.table["path"][subject.table["label"].isin(few.index)]),
        )


def image_sizes(subject: Subject) -> Iterator[Finding]:
    """Yield `images.tiny` and `images.sizes`: images that are very small, and images of several sizes or shapes."""
    table = subject.table
    tiny = table["path"][np.minimum(table["width"], table["height"]) < SMALL_SIDE]
    if len(tiny):
        yield Finding(
            "images.tiny",
            "note",
            f"Fewer than {SMALL_SIDE} pixels on a side: {counted(len(tiny), 'image')}: {listed(tiny, 3)}.",
            "They are enlarged to the backbone's size, which adds no detail.",
            tuple(tiny),
        )
    sizes = table[["width", "height"]].drop_duplicates()
    if len(sizes) > 1:
        ratio = sizes["width"] / sizes["height"]
        yield Finding(
            "images.sizes",
            "note",
            f"The images have {len(sizes):,} sizes, with width to height from {ratio.min():.2f} to {ratio.max():.2f}.",
            "All are stretched to squares. See that size and shape do not follow the class: a model can learn that.",
        )


CHECKS: tuple[Check, ...] = (
    unreadable_files,
    duplicates,
    split_groups,
    missing_classes,
    class_sizes,
    image_sizes,
    ignored_files,
)


def _same_pixels(code: str, severity: Severity, how: str, advice: str, table: pd.DataFrame) -> Finding:
    sets: list[Any] = [list(paths) for _, paths in table.groupby("sha256", sort=False)["path"]]
    shown = listed([" = ".join(paths) for paths in sets], 3)
    return Finding(
        code,
        severity,
        f"Same pixels {how}: {counted(len(sets), 'picture')} in {counted(len(table), 'file')}: {shown}.",
        advice,
        tuple(path for paths in sets for path in paths),
    )

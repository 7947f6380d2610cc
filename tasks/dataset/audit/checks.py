"""The audit's checks of copies, groups, classes and image sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.dataset.audit.class_counts import class_counts, class_members
from tasks.dataset.audit.findings import ALWAYS, Finding, Severity, Subject
from tasks.dataset.audit.let_through import leak_warning, let_through
from tasks.dataset.corrected_manifest import changes, corrections_told
from tasks.dataset.folds.folds_file import Rows
from tasks.dataset.wording import counted, listed

IMBALANCE = 10.0
"""From this ratio of the largest class to the smallest, the audit speaks of imbalance."""
FEW_IMAGES = 20
"""A class with fewer images than this is called small."""
SMALL_SIDE = 32
"""An image whose shorter side has fewer pixels than this is called tiny."""


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
    pixels = subject.table["sha256"].where(subject.table.index.isin(table.index)).to_numpy(dtype=object)
    across = table[table["sha256"].isin(subject.across(pixels))]
    if not across.empty:
        leaks = bool(subject.across(_without(pixels, subject.allowed)))
        yield _same_pixels(
            "duplicates.across_folds",
            "stop" if leaks else "warn",
            "in different folds, or in the holdout too, so that models are tested on what they were trained on",
            "Remove the copies, or let foldcam cut the folds (folds.kind: auto, data.holdout: none), which keeps them "
            "together.",
            across,
        )
    yield _same_pixels(
        "duplicates.exact", "note", "under several names", "Keep one of each, unless they are meant.", table
    )


def split_groups(subject: Subject) -> Iterator[Finding]:
    """Yield `groups.across_folds` and `groups.holdout`: declared groups in two folds, or in the folds and held out."""
    groups, held_out = subject.table["declared_group"].to_numpy(dtype=object), subject.folds[:, 0] < 0
    yield from _split(
        subject,
        "groups.across_folds",
        "In several folds",
        "Use folds.kind: auto, which keeps groups whole, or mend the data's own folds.",
        _without(groups, held_out),
        subject.folds,
    )
    yield from _split(
        subject,
        "groups.holdout",
        "Both in the folds and in the holdout, whose score flatters then",
        "Use data.holdout: none, or mend the data's own split.",
        groups,
        subject.folds[:, :1].clip(max=0),
    )


def allowed_leaks(subject: Subject) -> Iterator[Finding]:
    """Yield `groups.allowed_leaks`: what only `data.allow_leaks` lets stand on two sides of a split."""
    paths = let_through(subject.manifest, subject.folds, subject.data)
    if paths:
        advice = "If they are copies after all, every score is too good: take them out of data.allow_leaks."
        yield Finding(ALWAYS, "warn", leak_warning(paths), advice, paths)


def missing_classes(subject: Subject) -> Iterator[Finding]:
    """Yield `folds.missing_class`: folds without any image of a class."""
    counts = class_counts(subject.manifest, subject.folds)
    counts = counts.loc[list(subject.manifest.classes)].drop(columns="holdout", errors="ignore").T
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


def corrected_labels(subject: Subject) -> Iterator[Finding]:
    """Yield `labels.corrected`: labels that `data.corrections` changes or confirms."""
    said = subject.manifest.corrections
    if said:
        changed = changes(said)
        none = subject.manifest.targets.none_name
        shown = listed(f"{one.path} ({one.given or none} → {one.correct or none})" for one in changed)
        yield Finding(
            "labels.corrected",
            "note",
            corrections_told(said) + (f" {shown}." if changed else ""),
            "Labels that were looked at because models disagree with them make scores look better: do not hold these "
            "scores against those from before.",
            tuple(one.path for one in changed),
        )


def class_sizes(subject: Subject) -> Iterator[Finding]:
    """Yield `labels.imbalance` and `labels.few`: classes of very unequal size, and small ones."""
    members = class_members(subject.manifest)
    counts = pd.Series({label: int(members[label].sum()) for label in subject.manifest.classes})
    least, most = counts.min(), counts.max()
    if most > IMBALANCE * least:
        yield Finding(
            "labels.imbalance",
            "note",
            f"The class {counts.idxmax()!r} has {counted(int(most), 'image')}, {counts.idxmin()!r} has {least:,}.",
            "Read the figures of each class, not the accuracy alone; training.class_weights: balanced may help.",
        )
    few = counts[counts < FEW_IMAGES]
    if not few.empty:
        shown = [f"{label!r} ({count})" for label, count in few.items()]
        yield Finding(
            "labels.few",
            "note",
            f"Fewer than {FEW_IMAGES} images: {counted(len(few), 'class', 'classes')}: {listed(shown)}.",
            "Their figures rest on a handful of images: read the confidence intervals.",
            tuple(subject.table["path"][np.any([members[label] for label in few.index], axis=0)]),
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
            "All become squares (data.preprocessing). See that size and shape do not follow the class: a model can "
            "learn that.",
        )


def _split(
    subject: Subject, code: str, what: str, advice: str, groups: NDArray[np.object_], side: Rows
) -> Iterator[Finding]:
    """Yield the groups that stand on two sides."""
    both = subject.across(groups, side=side)
    if both:
        watched = _without(groups, subject.allowed)
        severity: Severity = "stop" if subject.across(watched, side=side) else "warn"
        message = f"{what}: {counted(len(both), 'group')}: {listed(both)}."
        yield Finding(code, severity, message, advice, tuple(subject.table["path"][np.isin(groups.astype(str), both)]))


def _without(keys: NDArray[np.object_], rows: NDArray[np.bool_]) -> NDArray[np.object_]:
    kept = keys.copy()
    kept[rows] = None
    return kept


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

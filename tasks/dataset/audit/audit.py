"""The audit: what a person should know about the data before believing a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from tasks.config import Data
from tasks.dataset.audit import checks as audit_checks
from tasks.dataset.audit import files as audit_files
from tasks.dataset.audit.class_counts import class_counts, class_members, fold_sizes
from tasks.dataset.audit.findings import Finding, Severity, Subject, reported
from tasks.dataset.audit.hidden_groups import group_findings
from tasks.dataset.audit.image_quality import quality_findings
from tasks.dataset.audit.near_duplicates import near_duplicate_findings, pair_records
from tasks.dataset.audit.page import render
from tasks.dataset.audit.shortcuts import shortcut_findings
from tasks.dataset.folds.folds_file import Rows, by_repeat
from tasks.dataset.folds.leaks import allowed_images
from tasks.dataset.manifest import Manifest
from tasks.dataset.sources.mirror import address_of

__all__ = ["Audit", "Finding", "Severity", "audit", "class_counts"]

_SIZES_SHOWN = 200


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    audit_files.left_out,
    audit_checks.duplicates,
    near_duplicate_findings,
    audit_checks.split_groups,
    audit_checks.allowed_leaks,
    group_findings,
    audit_checks.corrected_labels,
    audit_checks.missing_classes,
    shortcut_findings,
    quality_findings,
    audit_files.odd_files,
    audit_files.links_outside,
    audit_checks.class_sizes,
    audit_checks.image_sizes,
    audit_files.ignored,
)
"""Each yields what it finds; findings of one severity are told in this order."""


@dataclass(frozen=True, eq=False)
class Audit:
    """Counts and findings about a manifest and its folds."""

    subject: Subject
    findings: tuple[Finding, ...]
    """The gravest first."""

    @property
    def off(self) -> tuple[str, ...]:
        """The codes and families that `data.audit.off` turns off."""
        return tuple(self.subject.data.audit.off)

    @cached_property
    def counts(self) -> pd.DataFrame:
        """The number of images by class (rows) and fold (columns `0`, `1`, … and `holdout` where there is one).

        The folds of several repeats stand one after the other.
        """
        return class_counts(self.subject.manifest, self.subject.folds)

    @cached_property
    def totals(self) -> dict[str, int]:
        """The number of images by class; an image with several labels counts for each."""
        return {label: int(within.sum()) for label, within in class_members(self.subject.manifest).items()}

    @property
    def n_repeats(self) -> int:
        """How often the images are cut into folds."""
        return int(self.subject.folds.shape[1])

    def to_json(self) -> dict[str, Any]:
        """Return counts, image sizes and findings as JSON values.

        Returns
        -------
        dict
            `root`, `data_digest`, `n_images`, `n_unreadable`, `n_unlabelled` (both left out), `n_ignored_files`, `kind`
            (of labels), `classes` {class: images}, `n_repeats` (how often the images are cut into folds; the numbers of
            the folds run on), `folds` {fold or `holdout`: {class: images}}, `fold_sizes` {fold or `holdout`: images},
            `n_groups` (declared; 0: none), `n_kept_together` (sets of several images that the folds keep together),
            `image_sizes` (`n_sizes`; `width` and `height`, each {min, median, max} in pixels; `common`: the commonest
            sizes with their counts), `findings` (as `Finding`, with `n_images`), `near_duplicates` (the nearest pairs:
            see `pair_records`), `off` (what `data.audit.off` turns off).
        """
        manifest, table = self.subject.manifest, self.subject.table
        unlabelled = manifest.rejected["code"].to_numpy(dtype=object) == "labels.missing"
        return {
            "root": address_of(manifest.root),
            "data_digest": manifest.digest,
            "n_images": len(table),
            "n_unreadable": int((~unlabelled).sum()),
            "n_unlabelled": int(unlabelled.sum()),
            "n_ignored_files": self.subject.n_ignored_files,
            "kind": manifest.targets.kind,
            "classes": self.totals,
            "n_repeats": self.n_repeats,
            "folds": {
                str(fold): {label: int(count) for label, count in column.items()}
                for fold, column in self.counts.items()
            },
            "fold_sizes": fold_sizes(self.subject.folds),
            "n_groups": int(table["declared_group"].nunique()),
            "n_kept_together": int((table["group"].value_counts() > 1).sum()),
            "image_sizes": _sizes(table),
            "findings": [
                {**asdict(finding), "images": list(finding.images), "n_images": len(finding.images)}
                for finding in self.findings
            ],
            "near_duplicates": pair_records(self.subject),
            "off": list(self.off),
        }

    def to_html(self) -> str:
        """Return the audit as one HTML page that needs nothing beside it: charts, sample pictures, pairs, findings."""
        return render(self.to_json(), self.subject.manifest)


def audit(manifest: Manifest, fold_of_row: Rows, data: Data, *, n_ignored_files: int | None = None) -> Audit:
    """Return the audit of the images and their folds.

    Parameters
    ----------
    manifest
        The images, from `leaks.kept_together`; without its facts and pairs, less is looked at.
    fold_of_row : ndarray of shape (n_images,) or (n_images, n_repeats), int64
        The fold of every image, in each repeat; -1 for images that are held out.
    data
        The experiment file's `data`: what is turned off, and which leaks are let through.
    n_ignored_files
        Number of files that are no images; by default the manifest's.

    Raises
    ------
    InputError
        If a pattern of `data.allow_leaks` fits no image.
    """
    ignored = manifest.n_ignored_files if n_ignored_files is None else n_ignored_files
    allowed = allowed_images(manifest, data.allow_leaks)
    folds = by_repeat(fold_of_row)
    subject = Subject(manifest, manifest.table.assign(part=folds[:, 0]), folds, ignored, data, allowed)
    found = reported((finding for check in CHECKS for finding in check(subject)), data.audit.off)
    return Audit(subject, found)


def _sizes(table: pd.DataFrame) -> dict[str, Any]:
    common = Counter(zip(table["width"].tolist(), table["height"].tolist(), strict=True))
    ranges = {
        name: {
            "min": int(table[name].min()),
            "median": float(table[name].median()),
            "max": int(table[name].max()),
        }
        for name in ("width", "height")
    }
    shown = sorted(common.items(), key=lambda item: (-item[1], item[0]))[:_SIZES_SHOWN]
    return {
        "n_sizes": len(common),
        **ranges,
        "common": [{"width": width, "height": height, "n_images": count} for (width, height), count in shown],
    }

"""The audit: what a person should know about the data before believing a result."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tasks.dataset.audit_checks import Finding, Severity, Subject, find_all
from tasks.dataset.audit_page import render
from tasks.dataset.folds_file import Rows
from tasks.dataset.manifest import Manifest

__all__ = ["Audit", "Finding", "Severity", "audit", "class_counts"]

_SIZES_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Audit:
    """Counts and findings about a manifest and its folds."""

    manifest: Manifest
    fold_of_row: Rows
    findings: tuple[Finding, ...]
    """The gravest first."""
    n_ignored_files: int = 0

    @cached_property
    def counts(self) -> pd.DataFrame:
        """The number of images by class (rows) and fold (columns `0`, `1`, … and `holdout` where there is one)."""
        return class_counts(self.manifest, self.fold_of_row)

    def to_json(self) -> dict[str, Any]:
        """Return counts, image sizes and findings as JSON values.

        Returns
        -------
        dict
            `root`, `data_digest`, `n_images`, `n_unreadable`, `n_ignored_files`, `classes` {class: images}, `folds`
            {fold or `holdout`: {class: images}}, `image_sizes` (`n_sizes`; `width` and `height`, each {min, median,
            max} in pixels; `common`: the commonest sizes with their counts), `findings` (as `Finding`, with
            `n_images`).
        """
        table = self.manifest.table
        return {
            "root": str(self.manifest.root),
            "data_digest": self.manifest.digest,
            "n_images": len(table),
            "n_unreadable": len(self.manifest.rejected),
            "n_ignored_files": self.n_ignored_files,
            "classes": {label: int(count) for label, count in self.counts.sum(axis=1).items()},
            "folds": {
                str(fold): {label: int(count) for label, count in column.items()}
                for fold, column in self.counts.items()
            },
            "image_sizes": _sizes(table),
            "findings": [
                {**asdict(finding), "images": list(finding.images), "n_images": len(finding.images)}
                for finding in self.findings
            ],
        }

    def to_html(self) -> str:
        """Return the audit as one HTML page that needs nothing beside it, with a few pictures of each class."""
        return render(self.to_json(), self.manifest)


def class_counts(manifest: Manifest, fold_of_row: Rows) -> pd.DataFrame:
    """Return the number of images by class (rows) and fold (columns `0`, `1`, … and `holdout` where there is one)."""
    parts = np.where(fold_of_row < 0, "holdout", fold_of_row.astype(str))
    columns = [str(fold) for fold in range(int(fold_of_row.max(initial=-1)) + 1)]
    columns += ["holdout"] * bool((fold_of_row < 0).any())
    table = pd.crosstab(manifest.table["label"].to_numpy(dtype=object), parts)
    return table.reindex(index=list(manifest.classes), columns=columns, fill_value=0)


def audit(manifest: Manifest, fold_of_row: Rows, *, n_ignored_files: int | None = None) -> Audit:
    """Return the audit of the images and their folds.

    Parameters
    ----------
    manifest
        The images.
    fold_of_row : ndarray of shape (n_images,), int64
        The fold of every image; -1 for images that are held out.
    n_ignored_files
        Number of files that are no images; by default the manifest's.
    """
    ignored = manifest.n_ignored_files if n_ignored_files is None else n_ignored_files
    subject = Subject(manifest, manifest.table.assign(part=fold_of_row), ignored)
    return Audit(manifest, fold_of_row, find_all(subject), ignored)


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

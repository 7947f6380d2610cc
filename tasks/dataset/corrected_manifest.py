"""Puts the labels that people have corrected into the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tasks.config import InputError
from tasks.dataset.corrections import Correction, corrected, read_corrections
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import memberships
from tasks.dataset.wording import counted, listed, nearest_sibling

FILE = "corrections.csv"
"""The experiment's artifact that says which labels were corrected, by whom and when."""


def with_corrections(manifest: Manifest, files: Sequence[Path]) -> Manifest:
    """Give the manifest with the labels that `data.corrections` says, and what it says; no file leaves it as it is.

    Raises
    ------
    InputError
        As `read_corrections`, or if a file is not there, or a class is left without an image.
    """
    if not files:
        return manifest
    for file in files:
        if not file.is_file():
            raise InputError(
                f"data.corrections: there is no file {file}{nearest_sibling(file)}. Mend its path, which starts from "
                "the experiment file's folder, or take it out."
            )
    said = read_corrections(files, manifest.table, manifest.targets)
    mended = replace(manifest, table=corrected(manifest.table, said), corrections=said)
    left = memberships(mended.y, len(mended.classes)).sum(axis=0)
    if gone := [name for name, n_images in zip(mended.classes, left, strict=True) if not n_images]:
        raise InputError(
            f"With data.corrections no image is left of {listed(gone)}, of which there must be some. Take back one of "
            "the corrections, or take the class out of the data."
        )
    return mended


def changes(said: Sequence[Correction]) -> tuple[Correction, ...]:
    """Give the corrections that change a label; the others confirm one."""
    return tuple(one for one in said if one.correct != one.given)


def corrections_told(said: Sequence[Correction]) -> str:
    """Tell in a sentence how many labels are corrected and confirmed, and by whom."""
    n_changed = len(changes(said))
    by = Counter(one.by for one in said)
    who = listed(f"{name} ({number})" for name, number in by.most_common())
    confirmed = len(said) - n_changed
    told = f"{counted(n_changed, 'label')} corrected" + (f" and {confirmed:,} confirmed" if confirmed else "")
    return f"{told} by data.corrections: {who}."


def corrections_table(said: Sequence[Correction]) -> pd.DataFrame:
    """Give a row an image that somebody has looked at: `path`, `given`, `correct`, `by`, `when` (as 2026-03-31)."""
    return pd.DataFrame([one.to_json() for one in said], columns=["path", "given", "correct", "by", "when"])

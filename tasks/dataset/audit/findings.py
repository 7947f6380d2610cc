"""What the audit can find: the form of a finding, its stable codes, and which of them people turn off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import Data, InputError
from tasks.dataset.folds.folds_file import Rows
from tasks.dataset.folds.leaks import groups_across
from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import nearest

Severity = Literal["stop", "warn", "note"]

CODES = {
    "files.unreadable": "cannot be decoded, or not be opened",
    "files.truncated": "cut short or damaged",
    "files.empty": "zero bytes",
    "files.missing": "not there: a broken link, or a name in a table only",
    "files.bomb": "more pixels than a picture should have",
    "files.no_image": "no image by its content, though its name ends as one",
    "files.wrong_type": "an image of another format than its name says",
    "files.animated": "several frames or pages, of which only the first counts",
    "files.links_outside": "a link that leads out of the data folder",
    "files.two_names": "one file under two names",
    "files.ignored": "no image by its name",
    "duplicates.exact": "the same pixels under several names",
    "duplicates.labels": "the same pixels under different labels",
    "duplicates.across_folds": "the same pixels on two sides of a split",
    "duplicates.near": "nearly the same look under several names",
    "duplicates.near_labels": "nearly the same look under different labels",
    "duplicates.near_across_folds": "nearly the same look on two sides of a split",
    "duplicates.near_flipped": "nearly the same look after a flip or a rotation",
    "duplicates.near_limited": "so many look alike that not all pairs are told",
    "duplicates.not_compared": "too even to be compared by its look",
    "groups.across_folds": "a group in two folds",
    "groups.holdout": "a group in the folds and in the holdout",
    "groups.allowed_leaks": "a leak that data.allow_leaks lets through",
    "groups.undeclared": "a likely group that nobody declared, in several folds",
    "labels.missing": "an image without a label",
    "labels.corrected": "labels that people have looked at again: data.corrections",
    "labels.imbalance": "classes of very unequal size",
    "labels.few": "a class with few images",
    "labels.shortcut_size": "the image's size tells the label",
    "labels.shortcut_colour": "being in colour tells the label",
    "labels.shortcut_format": "the ending of the name tells the label",
    "labels.shortcut_name": "the pattern of the name tells the label",
    "folds.missing_class": "a fold without a class",
    "images.even": "one colour nearly all over",
    "images.dark": "nearly black",
    "images.bright": "nearly white",
    "images.blurred": "far less sharp than most",
    "images.colour_mixture": "coloured images beside grey ones",
    "images.modes": "stored in several colour modes",
    "images.tiny": "few pixels",
    "images.sizes": "several sizes or shapes",
}
"""Every code, and what it finds; its family stands before the dot."""

ALWAYS = "groups.allowed_leaks"
"""The code that nobody can turn off, like all that is grave enough to stop."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that a person should know before believing a result."""

    code: str
    """Stable, one of `CODES`."""
    severity: Severity
    """`stop`: results would be wrong; `warn`: they may be; `note`: worth knowing."""
    message: str
    """What was found."""
    advice: str
    """What to do about it."""
    images: tuple[str, ...] = ()
    """Paths of the images concerned, below the data folder; empty if it concerns the data as a whole."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What the checks look at."""

    manifest: Manifest
    table: pd.DataFrame
    """The manifest's, with the column `part` (the fold's number in the first repeat; -1: held out)."""
    folds: Rows
    """The fold of every image in every repeat, of shape (n_images, n_repeats); -1: held out."""
    n_ignored_files: int
    data: Data
    """The settings."""
    allowed: NDArray[np.bool_]
    """Which images `data.allow_leaks` names, of shape (n_images,)."""

    def across(self, keys: NDArray[np.object_], *, side: Rows | None = None) -> list[str]:
        """Return which keys (None: none) stand on two sides of a split in some repeat, sorted.

        The sides are the folds and the holdout, or those of `side`, of the form of `folds`.
        """
        repeats = (self.folds if side is None else side).T
        return sorted({key for fold in repeats for key in groups_across(keys, fold)})

    @property
    def facts(self) -> pd.DataFrame | None:
        """What decoding showed of every image, if it was looked for."""
        return self.manifest.facts


def check_off(off: Sequence[str], others: Iterable[str] = ()) -> None:
    """Refuse a code in `data.audit.off` that neither the audit has nor is among `others`.

    Raises
    ------
    InputError
        With the nearest code or family.
    """
    codes = [*CODES, *others]
    families = list(dict.fromkeys(code.split(".")[0] for code in codes))
    for name in off:
        if name not in codes and name not in families:
            like = nearest(name, [*codes, *families])
            hint = f" Did you mean {like}?" if like else ""
            raise InputError(
                f"data.audit.off: the audit has no code {name!r}.{hint} The families are {', '.join(families)}; "
                f"the codes are {', '.join(codes)}."
            )


def reported(found: Iterable[Finding], off: Sequence[str]) -> tuple[Finding, ...]:
    """Return the findings that are not turned off, the gravest first.

    What stops is always reported, and so are the leaks that people let through.
    """
    kept = [
        finding
        for finding in found
        if finding.severity == "stop"
        or finding.code == ALWAYS
        or not {finding.code, finding.code.split(".")[0]} & set(off)
    ]
    return tuple(sorted(kept, key=lambda finding: ("stop", "warn", "note").index(finding.severity)))

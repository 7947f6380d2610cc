"""The audit's check for groups that nobody declared: identifiers that several file names share."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from tasks.dataset.audit.findings import Finding, Subject
from tasks.dataset.wording import listed

PATTERNS = (
    r"(?P<group>[^/_. -]*\d[^/_. -]*)[_ -][^/]*$",
    r"(?P<group>[^/]*\d[^/]*?)[_ -]+\(?\d+\)?\.[^/.]+$",
)
"""Where an identifier stands in a file name: its first part with a digit, or all before a counter at the end."""
LARGEST_SHARE = 0.2
"""If more of the images than this have one identifier, it is none: a camera's or a year's, say."""
LEAST_SHARED = 0.5
"""At least so many of the images must share theirs with another."""


def group_findings(subject: Subject) -> Iterator[Finding]:
    """Yield `groups.undeclared`: likely groups that stand in several folds, where no groups are declared."""
    table = subject.table
    if table["declared_group"].notna().any():
        return
    guesses = [
        (pattern, groups) for pattern in PATTERNS if _plausible(groups := table["path"].str.extract(pattern)["group"])
    ]
    if not guesses:
        return
    pattern, groups = min(guesses, key=lambda guess: guess[1].nunique())
    split = subject.across(groups.to_numpy(dtype=object))
    if split:
        yield Finding(
            "groups.undeclared",
            "warn",
            f"By their file names, the images seem to come from {groups.nunique():,} patients, plants or the like, of "
            f"which {len(split):,} stand in several folds: {listed(split)}.",
            f"If so, keep each of them in one fold with data.groups: '{pattern}'.",
            tuple(table["path"][groups.isin(split)]),
        )


def _plausible(groups: pd.Series[str]) -> bool:
    if groups.isna().any():
        return False
    sizes = groups.map(groups.value_counts())
    return bool((sizes > 1).mean() >= LEAST_SHARED and sizes.max() <= LARGEST_SHARE * len(groups))

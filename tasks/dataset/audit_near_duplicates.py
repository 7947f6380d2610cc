"""The audit's checks of pictures that look nearly the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tasks.dataset.audit_checks import Finding, Severity, Subject
from tasks.dataset.leaks import Groups, allowed_images, effective_groups, groups_across
from tasks.dataset.near_duplicates import Pairs
from tasks.dataset.picture_facts import VARIANTS
from tasks.dataset.wording import counted, listed

_SHOWN = 3


class _Kind(NamedTuple):
    severity: Severity
    what: str
    advice: str


_KINDS = {
    "near_duplicates.labels": _Kind(
        "warn",
        "with different labels",
        "Look at them: either a label is wrong, or the classes differ in what a small picture does not show.",
    ),
    "near_duplicates.across_folds": _Kind(
        "warn",
        "in different folds, or in a fold and in the holdout, so that models may be tested on what they were trained "
        "on",
        "Look at them. If they show the same thing, keep one of each or give data.groups a pattern that keeps them "
        "together; pictures from one camera may also look alike by chance.",
    ),
    "near_duplicates.flipped": _Kind(
        "note",
        "after a flip or a rotation",
        "If they are copies made to enlarge the data, keep the originals only: training.augmentation makes such copies "
        "without a leak.",
    ),
    "near_duplicates.found": _Kind(
        "note",
        "under several names",
        "Look at the nearest: they are copies, neighbouring shots, or alike by chance.",
    ),
}


def near_duplicate_findings(subject: Subject, pairs: Pairs, groups: Groups) -> Iterator[Finding]:
    """Yield `near_duplicates.labels`, `.across_folds`, `.flipped`, `.found`, `.limited` and `.unhashed`.

    Pairs of equal pixels are left to `duplicates.exact` and its kin.

    Parameters
    ----------
    subject
        The manifest and its folds.
    pairs
        From `near_duplicates`, over the rows of the manifest.
    groups : ndarray of shape (n_images,), str or None
        From `effective_groups`: what the folds keep together.
    """
    table = _with_names(subject, pairs, groups)
    kinds = {
        "near_duplicates.labels": table["label_first"] != table["label_second"],
        "near_duplicates.across_folds": table["part_first"] != table["part_second"],
        "near_duplicates.flipped": table["variant"] > 0,
        "near_duplicates.found": pd.Series(True, index=table.index),
    }
    for code, shown in kinds.items():
        if shown.any():
            yield _finding(code, table[shown])
    yield from _limits(subject, pairs)


def pair_records(subject: Subject, pairs: Pairs, groups: Groups, *, most: int = 24) -> list[dict[str, Any]]:
    """Return the nearest pairs of different pixels as JSON values, for a list or a sheet of them.

    Pairs on two sides of a split come first, then those with different labels.

    Returns
    -------
    list of dict
        `first` and `second` (each with `path`, `label` and `part`; part -1: held out), `distance` (bits of 64 that
        differ), `variant` (what makes the second of the first) and `together` (whether the folds keep them together).
    """
    table = _with_names(subject, pairs, groups)
    side, label = (table[f"{name}_first"] == table[f"{name}_second"] for name in ("part", "label"))
    order = table.assign(side=side, label=label).sort_values(["side", "label", "distance"], kind="stable").index[:most]
    return [
        {side: {name: row[f"{name}_{side}"] for name in ("path", "label", "part")} for side in ("first", "second")}
        | {"distance": row["distance"], "variant": VARIANTS[row["variant"]], "together": row["together"]}
        for row in table.loc[order].to_dict("records")
    ]


def allowed_findings(subject: Subject, pairs: Pairs, *, join_distance: int, allow: Sequence[str]) -> Iterator[Finding]:
    """Yield `leaks.allowed`: images that only `data.allow_leaks` keeps from standing on one side of every split.

    Parameters
    ----------
    subject
        The manifest, its `group` column as declared, and its folds.
    pairs, join_distance, allow
        As for `effective_groups`.
    """
    strict = effective_groups(subject.manifest, pairs, join_distance=join_distance)
    split = np.isin(strict.astype(str), groups_across(strict, subject.table["part"].to_numpy(dtype=np.int64)))
    let_through = split & allowed_images(subject.manifest, allow)
    if let_through.any():
        paths = tuple(subject.table["path"].to_numpy(dtype=object)[let_through])
        yield Finding(
            "leaks.allowed",
            "warn",
            f"Let through by data.allow_leaks although they are like images on the other side of a split: "
            f"{counted(len(paths), 'image')}: {listed(paths, _SHOWN)}.",
            "If they are copies after all, every score is too good: take them out of data.allow_leaks.",
            paths,
        )


def _limits(subject: Subject, pairs: Pairs) -> Iterator[Finding]:
    limits = []
    if pairs.reach < pairs.distance:
        limits.append(f"the search went to a distance of {pairs.reach} bits instead of {pairs.distance}")
    if pairs.thinned:
        limits.append(f"only {counted(len(pairs.table), 'pair')} that link them all are counted")
    if limits:
        yield Finding(
            "near_duplicates.limited",
            "note",
            f"So many pictures look alike that {' and '.join(limits)}.",
            "If they are shots of one thing, give data.groups a pattern that says so; pictures from one camera may "
            "also look alike by chance.",
        )
    if pairs.unhashed:
        paths = tuple(subject.table["path"].iloc[list(pairs.unhashed)])
        yield Finding(
            "near_duplicates.unhashed",
            "note",
            f"Too even to be compared with others by their looks: {counted(len(paths), 'image')}: "
            f"{listed(paths, _SHOWN)}.",
            "See that they show anything. Equal pixels are found among them all the same.",
            paths,
        )


def _with_names(subject: Subject, pairs: Pairs, groups: Groups) -> pd.DataFrame:
    """Pairs of different pixels, with path, label and part of both, and whether the folds keep them together."""
    table = pairs.table
    for side in ("first", "second"):
        columns = subject.table[["path", "label", "part", "sha256"]].iloc[table[side]].add_suffix(f"_{side}")
        table = pd.concat([table, columns.reset_index(drop=True)], axis=1)
    one, other = groups[table["first"]], groups[table["second"]]
    table["together"] = pd.notna(one) & (one == other)
    return table[table["sha256_first"] != table["sha256_second"]]


def _finding(code: str, table: pd.DataFrame) -> Finding:
    severity, what, advice = _KINDS[code]
    shown = "; ".join(_told(row) for row in table.head(_SHOWN).to_dict("records"))
    left = f" and {len(table) - _SHOWN:,} more" if len(table) > _SHOWN else ""
    kept = int(table["together"].sum())
    together = f", {kept:,} kept together by a group" if kept else ""
    paths = dict.fromkeys(table[["path_first", "path_second"]].to_numpy().ravel().tolist())
    message = f"Nearly the same look {what}: {counted(len(table), 'pair')}{together}: {shown}{left}."
    return Finding(code, severity, message, advice, tuple(paths))


def _told(row: dict[Any, Any]) -> str:
    how = f", {VARIANTS[row['variant']]}" if row["variant"] else ""
    return f"{row['path_first']} ~ {row['path_second']} (distance {row['distance']}{how})"

"""The audit's checks of pictures that look nearly the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from tasks.dataset.audit.findings import Finding, Severity, Subject
from tasks.dataset.lookalikes.near_duplicates import Pairs
from tasks.dataset.lookalikes.picture_facts import VARIANTS
from tasks.dataset.wording import counted, listed

_SHOWN = 3


class _Kind(NamedTuple):
    severity: Severity
    what: str
    advice: str


_KINDS = {
    "duplicates.near_labels": _Kind(
        "warn",
        "with different labels",
        "Look at them: either a label is wrong, or the classes differ in what a small picture does not show.",
    ),
    "duplicates.near_across_folds": _Kind(
        "warn",
        "in different folds, or in a fold and in the holdout, so that models may be tested on what they were trained "
        "on",
        "Look at them. If they show the same thing, keep one of each or give data.groups a pattern that keeps them "
        "together; pictures from one camera may also look alike by chance.",
    ),
    "duplicates.near_flipped": _Kind(
        "note",
        "after a flip or a rotation",
        "If they are copies made to enlarge the data, keep the originals only: training.augmentation makes such copies "
        "without a leak.",
    ),
    "duplicates.near": _Kind(
        "note",
        "under several names",
        "Look at the nearest: they are copies, neighbouring shots, or alike by chance.",
    ),
}


def near_duplicate_findings(subject: Subject) -> Iterator[Finding]:
    """Yield `duplicates.near_labels`, `.near_across_folds`, `.near_flipped`, `.near`, `.near_limited`, `.not_compared`.

    Pairs of equal pixels are left to `duplicates.exact` and its kin.
    """
    pairs = subject.manifest.pairs
    if pairs is None:
        return
    table = _with_names(subject, pairs)
    across = table["across"]
    join_distance = subject.data.audit.near_duplicates.join_distance
    kinds = {
        "duplicates.near_labels": table["label_first"] != table["label_second"],
        "duplicates.near_across_folds": across,
        "duplicates.near_flipped": table["variant"] > 0,
        "duplicates.near": pd.Series(True, index=table.index),
    }
    for code, shown in kinds.items():
        if shown.any():
            leaks = across & shown & (table["distance"] <= join_distance) & ~table["allowed"]
            yield _finding(code, table[shown], stops=code == "duplicates.near_across_folds" and bool(leaks.any()))
    yield from _limits(subject, pairs)


def pair_records(subject: Subject, *, most: int = 24) -> list[dict[str, Any]]:
    """Return the nearest pairs of different pixels as JSON values, for a list or a sheet of them.

    Pairs on two sides of a split come first, then those with different labels.

    Returns
    -------
    list of dict
        `first` and `second` (each with `path`, `label` and `part`, the fold in the first repeat; -1: held out),
        `distance` (bits of 64 that differ), `variant` (what makes the second of the first), `together` (whether the
        folds keep them together) and `across` (whether they stand on two sides of a split in some repeat).
    """
    if subject.manifest.pairs is None:
        return []
    table = _with_names(subject, subject.manifest.pairs)
    table = table.assign(same_side=~table["across"], same_label=table["label_first"] == table["label_second"])
    order = table.sort_values(["same_side", "same_label", "distance"], kind="stable").index[:most]
    return [
        {side: {name: row[f"{name}_{side}"] for name in ("path", "label", "part")} for side in ("first", "second")}
        | {"distance": row["distance"], "variant": VARIANTS[row["variant"]]}
        | {name: row[name] for name in ("together", "across")}
        for row in table.loc[order].to_dict("records")
    ]


def _limits(subject: Subject, pairs: Pairs) -> Iterator[Finding]:
    limits = []
    if pairs.reach < pairs.distance:
        limits.append(f"the search went to a distance of {pairs.reach} bits instead of {pairs.distance}")
    if pairs.thinned:
        limits.append(f"only {counted(len(pairs.table), 'pair')} that link them all are counted")
    if limits:
        yield Finding(
            "duplicates.near_limited",
            "note",
            f"So many pictures look alike that {' and '.join(limits)}.",
            "If they are shots of one thing, give data.groups a pattern that says so; pictures from one camera may "
            "also look alike by chance.",
        )
    if pairs.unhashed:
        paths = tuple(subject.table["path"].iloc[list(pairs.unhashed)])
        yield Finding(
            "duplicates.not_compared",
            "note",
            f"Too even to be compared with others by their looks: {counted(len(paths), 'image')}: "
            f"{listed(paths, _SHOWN)}.",
            "See that they show anything. Equal pixels are found among them all the same.",
            paths,
        )


def _with_names(subject: Subject, pairs: Pairs) -> pd.DataFrame:
    """Pairs of different pixels, with path, label and part of both, and whether folds keep them together or apart."""
    table = pairs.table
    for side in ("first", "second"):
        columns = subject.table[["path", "label", "part", "sha256"]].iloc[table[side]].add_suffix(f"_{side}")
        table = pd.concat([table, columns.reset_index(drop=True)], axis=1)
    groups = subject.table["group"].to_numpy(dtype=object)
    one, other = groups[table["first"]], groups[table["second"]]
    together = pd.notna(one) & (one == other)
    across = (subject.folds[table["first"]] != subject.folds[table["second"]]).any(axis=1)
    allowed = subject.allowed[table["first"]] | subject.allowed[table["second"]]
    table = table.assign(together=together, across=across, allowed=allowed)
    return table[table["sha256_first"] != table["sha256_second"]]


def _finding(code: str, table: pd.DataFrame, *, stops: bool) -> Finding:
    severity, what, advice = _KINDS[code]
    shown = "; ".join(_told(row) for row in table.head(_SHOWN).to_dict("records"))
    left = f" and {len(table) - _SHOWN:,} more" if len(table) > _SHOWN else ""
    kept = int(table["together"].sum())
    together = f", {kept:,} kept together by a group" if kept else ""
    paths = dict.fromkeys(table[["path_first", "path_second"]].to_numpy().ravel().tolist())
    message = f"Nearly the same look {what}: {counted(len(table), 'pair')}{together}: {shown}{left}."
    return Finding(code, "stop" if stops else severity, message, advice, tuple(paths))


def _told(row: dict[Any, Any]) -> str:
    how = f", {VARIANTS[row['variant']]}" if row["variant"] else ""
    return f"{row['path_first']} ~ {row['path_second']} (distance {row['distance']}{how})"

"""What the scores in subgroups give cause to tell: gaps beyond chance, and subgroups too small to tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tasks.comparison.text import metric_title, tested
from tasks.dataset.audit.findings import Finding
from tasks.dataset.wording import counted, listed
from tasks.evaluation.names import higher_is_better
from tasks.explanation.intervals import LEAST_GROUPS, LEVEL

CODES = {
    "subgroups.gap": "a subgroup in which a backbone does worse than elsewhere, beyond chance",
    "subgroups.few": "a subgroup with too few groups to say anything",
}
"""The codes of these findings, in the form of `findings.CODES`."""


def subgroup_findings(scores: pd.DataFrame, backbone: str) -> Iterator[Finding]:
    """Yield `subgroups.gap` for each subgroup that does worse than the others, and `subgroups.few` for each column.

    A gap is told if its p value, corrected for all comparisons of the table, is below 0.05.

    Parameters
    ----------
    scores : DataFrame
        From `subgroups.subgroup_scores`.
    backbone
        The backbone that the scores are of.
    """
    for row in worse_than_others(scores):
        yield _gap(row, backbone)
    for name, own in scores.groupby("column", sort=False):
        few = own[own["n_groups"] < LEAST_GROUPS].drop_duplicates("value")
        if len(few):
            sizes = zip(few["value"], few["n_groups"].astype(int), strict=True)
            told = listed(f"{value} ({counted(size, 'group')})" for value, size in sizes)
            yield Finding(
                "subgroups.few",
                "note",
                f"`{name}`: {told}: fewer than {LEAST_GROUPS} groups, of which no interval and no test can be given.",
                "Nothing is known of how well a model does there, good or bad; add images of others before using it.",
            )


def worse_than_others(scores: pd.DataFrame) -> list[Any]:
    """Give the rows of subgroups that do worse than the others beyond chance, as named tuples."""
    apart: list[Any] = list(scores[scores["p_holm"] < 1 - LEVEL].itertuples())
    return [row for row in apart if (row.gap < 0) == higher_is_better(row.metric)]


def _gap(row: Any, backbone: str) -> Finding:
    side = -1 if row.gap < 0 else 1
    low, high = sorted((side * row.gap_low, side * row.gap_high))
    return Finding(
        "subgroups.gap",
        "warn",
        f"{backbone}: the {metric_title(row.metric)} is {row.score:.3f} where `{row.column}` is {row.value} "
        f"({counted(row.n_images, 'image')} of {counted(row.n_groups, 'group')}) and {row.others:.3f} elsewhere, a gap "
        f"of {abs(row.gap):.3f} (95 % interval {low:.3f} to {high:.3f}; {tested(row.p_holm)}, corrected for all "
        "comparisons made).",
        "See what differs there: the mix of classes, the camera, who gave the labels, how many such images there are "
        f"to learn from. Report the figures by `{row.column}` beside those of all images.",
    )

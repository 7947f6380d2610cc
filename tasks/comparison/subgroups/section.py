"""The part of a comparison that tells how well the backbones do in subgroups, such as sites, cameras or sexes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.comparison.evidence import Evidence
from tasks.comparison.interval_columns import with_intervals
from tasks.comparison.pooling import predictions_of
from tasks.comparison.section import Drawing, Section, Table
from tasks.comparison.statistics.paired import LEAST_GROUPS as LEAST_TO_CLAIM
from tasks.comparison.statistics.weighted import weighted_metric
from tasks.comparison.subgroups.columns import SubgroupColumns, subgroup_columns
from tasks.comparison.subgroups.findings import subgroup_findings, worse_than_others
from tasks.comparison.subgroups.scores import subgroup_scores
from tasks.comparison.text import (
    NOTHING,
    between,
    count,
    known,
    listing,
    metric_title,
    number,
    p_value,
    tested,
    told_interval,
)
from tasks.comparison.whole_groups import whole_groups
from tasks.dataset.audit.findings import reported
from tasks.evaluation.names import higher_is_better
from tasks.explanation.intervals import LEAST_GROUPS

_KEY = ["column", "value", "n_images", "n_groups"]


@dataclass(frozen=True, eq=False)
class _Scored:
    """Scores by subgroup: of the best backbone in all metrics, and by backbone in the one that ranks them."""

    best: str
    columns: SubgroupColumns
    scores: pd.DataFrame
    by_backbone: dict[str, pd.DataFrame]
    ranked_by: str
    overall: float | None

    @property
    def ranked(self) -> pd.DataFrame:
        """The best backbone's scores in the metric that ranks them."""
        return self.scores[self.scores["metric"] == self.ranked_by]


def subgroups_section(evidence: Evidence) -> Section | None:
    """Give metrics by subgroup, by the columns of `comparison.subgroups`.

    None where no fold is finished or no column has two values or more.
    """
    found = _score(evidence)
    if found is None:
        return None
    findings = reported(subgroup_findings(found.scores, found.best), evidence.plan.experiment.data.audit.off)
    return Section(
        key="subgroups",
        title="Subgroups",
        sentences=tuple(_told(found)),
        tables=(_table(found), _compared(found), _long(found)),
        drawings=(_drawing(found),),
        findings=findings,
        metrics={"subgroups/n_gaps": float(len(worse_than_others(found.scores)))},
    )


def _score(evidence: Evidence) -> _Scored | None:
    if evidence.paired is None:
        return None
    experiment, targets = evidence.plan.experiment, evidence.plan.manifest.targets
    best, table = next(iter(evidence.tables.items()))
    rows = evidence.plan.manifest.table.set_index("path", drop=False).loc[table["path"]].reset_index(drop=True)
    columns = subgroup_columns(experiment.comparison.subgroups, rows)
    groups, ranked_by = whole_groups(evidence.groups, table["path"]), evidence.metrics[0]
    predictions = {
        name: predictions_of(own.set_index("path", drop=False).loc[table["path"]], targets)
        for name, own in evidence.tables.items()
    }
    scores = subgroup_scores(
        predictions[best],
        targets,
        columns.values,
        evidence.metrics,
        groups,
        seed=experiment.seed,
        tested=evidence.paired.n_groups >= LEAST_TO_CLAIM,
    )
    if not len(scores):
        return None
    others = {
        name: subgroup_scores(own, targets, columns.values, [ranked_by], groups, seed=experiment.seed, tested=False)
        for name, own in predictions.items()
        if name != best
    }
    scorer = weighted_metric(ranked_by, predictions[best], np.zeros(len(table), dtype=np.int64), targets)
    by_backbone = {best: scores[scores["metric"] == ranked_by]} | others
    return _Scored(best, columns, scores, by_backbone, ranked_by, known(float(scorer(np.ones((1, 1)))[0])))


def _told(found: _Scored) -> Iterator[str]:
    worse, title = worse_than_others(found.scores), metric_title(found.ranked_by)
    told = [f"`{name}`" for name in found.columns.values if name in set(found.scores["column"])]
    if worse:
        places = dict.fromkeys(f"`{row.column}` is {row.value}" for row in worse)
        yield f"{found.best} does worse, beyond chance, where {listing(list(places))}."
    elif found.scores["p"].notna().any():
        yield (
            f"No subgroup by {listing(told)} is told apart as one in which {found.best} does worse; that does not show "
            "that there is none."
        )
    else:
        yield f"Whether {found.best} does worse in some subgroup by {listing(told)} cannot be told: too few groups."
    tried = found.ranked[found.ranked["p_holm"].notna()]
    if len(tried):
        against = tried["gap"] if higher_is_better(found.ranked_by) else -tried["gap"]
        row: Any = next(tried.assign(against=against).sort_values(["p", "against"], kind="stable").itertuples())
        yield (
            f"The most marked gap in {title} is that of `{row.column}` {row.value}: {number(row.score)} there and "
            f"{number(row.others)} elsewhere, a difference of {row.gap:+z.3f} "
            f"({told_interval(known(row.gap_low), known(row.gap_high))}; {tested(row.p_holm)}, corrected for all "
            "subgroups and metrics)."
        )
    n_few = len(found.scores[found.scores["n_groups"] < LEAST_GROUPS].drop_duplicates(["column", "value"]))
    if n_few:
        yield f"{count(n_few, 'subgroup')} with fewer than {LEAST_GROUPS} groups: scores alone, without an interval."
    if found.columns.like_labels:
        yield f"Left out, since each of their values has one label only: {listing(list(found.columns.like_labels))}."
    yield "A gap can come from another mix of classes there, and it does not say what it comes from."


def _table(found: _Scored) -> Table:
    return Table(
        "subgroups",
        f"{found.best} by subgroup, against all other images. Intervals draw whole groups; p is that of a permutation "
        "test, corrected for all rows (Holm).",
        with_intervals(
            found.scores.reset_index(drop=True), interval=("low", "high"), gap_interval=("gap_low", "gap_high")
        ),
        {
            "column": "Column",
            "value": "value",
            "n_images": "images",
            "n_groups": "groups",
            "metric": "metric",
            "score": "score",
            "interval": "95 % interval",
            "gap": "difference",
            "gap_interval": "95 % interval",
            "p_holm": "p, corrected",
        },
        {"metric": metric_title, "p_holm": p_value},
    )


def _compared(found: _Scored) -> Table:
    """Give the table that people read: a row a subgroup, a column a backbone."""
    frame = found.ranked[_KEY].reset_index(drop=True)
    for name, own in found.by_backbone.items():
        frame[name] = [_score_told(row) for row in own.itertuples()]
    return Table(
        "subgroups_compared",
        f"The {metric_title(found.ranked_by)} of all backbones by subgroup, with 95 % intervals.",
        frame,
        {"column": "Column", "value": "value", "n_images": "images", **{name: name for name in found.by_backbone}},
    )


def _score_told(row: Any) -> str:
    score = known(row.score)
    if score is None or known(row.low) is None:
        return NOTHING if score is None else number(score)
    return f"{number(score)} ({between(known(row.low), known(row.high))})"


def _long(found: _Scored) -> Table:
    """Give the same for programs: a row a subgroup and backbone; no page shows it."""
    columns = [*_KEY, "metric", "score", "low", "high"]
    parts = [own[columns].assign(backbone=name) for name, own in found.by_backbone.items()]
    frame = pd.concat(parts, ignore_index=True)[["backbone", *columns]]
    return Table("subgroups_by_backbone", f"The {metric_title(found.ranked_by)} by backbone and subgroup.", frame, {})


def _drawing(found: _Scored) -> Drawing:
    from tasks.comparison.subgroups.figure import MOST_ROWS, subgroups_figure

    scores, best, overall = found.ranked, found.best, found.overall
    cut = f" The first {MOST_ROWS} of {len(scores)} subgroups." if len(scores) > MOST_ROWS else ""
    return Drawing(
        "subgroups",
        f"The {metric_title(found.ranked_by)} of {best} by subgroup (number of images in brackets) with 95 % "
        "intervals; dashed: all images. A hollow dot has too few groups for an interval; orange: told apart from the "
        f"other images.{cut}",
        lambda: subgroups_figure(scores, best, overall),
    )

"""The part of a comparison that tells how well each class is recognised."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tasks.comparison.evidence import Evidence
from tasks.comparison.results import BackboneResult
from tasks.comparison.section import Section, Table
from tasks.comparison.summary import Summary
from tasks.comparison.text import interval, listing, number
from tasks.dataset.audit.class_counts import class_members
from tasks.dataset.wording import counted, on_one_line
from tasks.evaluation.names import metric_key

BY_CLASS = ("precision", "recall", "f1", "roc_auc")
_TITLES = {"precision": "precision", "recall": "recall", "f1": "F1", "roc_auc": "ROC AUC"}
_OVER = "mean over the folds, and its 95 % interval in brackets"


def classes_section(evidence: Evidence) -> Section | None:
    """Give the figures of each class, by all backbones and by the best one; None where nothing is finished."""
    results = {name: own for name, own in evidence.results.items() if own.finished}
    figures = _figures(evidence, results)
    if figures.empty:
        return None
    best = next(iter(results))
    return Section(
        key="classes",
        title="Each class",
        sentences=_sentences(evidence, best, results[best].summaries),
        tables=(*_shown(evidence, results, best), _file(figures)),
    )


def _figures(evidence: Evidence, results: Mapping[str, BackboneResult]) -> pd.DataFrame:
    """Give a row a backbone, class and metric: over the folds, and pooled over all of them."""
    rows = []
    for backbone, own in results.items():
        for label in evidence.plan.manifest.classes:
            for metric in BY_CLASS:
                name = f"{metric}/{metric_key(label)}"
                found = own.summaries.get(name)
                if found is not None and found.mean is not None:
                    figures = {part: getattr(found, part) for part in ("mean", "std", "ci_low", "ci_high")}
                    rows.append(
                        {"backbone": backbone, "class": label, "metric": metric}
                        | figures
                        | {"n_folds": found.n_defined, "pooled": own.pooled.get(name)}
                    )
    return pd.DataFrame(rows)


def _shown(evidence: Evidence, results: Mapping[str, BackboneResult], best: str) -> list[Table]:
    labels = [on_one_line(label) for label in evidence.plan.manifest.classes]
    base = {"class": labels, "images": _images(evidence)}
    heads = {"class": "Class", "images": "images"}
    whose = "each label for itself" if evidence.plan.manifest.targets.kind == "multilabel" else "against all others"
    tables = []
    if len(results) > 1:
        columns = {f"f1_{name}": _cells(evidence, own, "f1") for name, own in results.items()}
        titles = heads | {f"f1_{name}": name for name in results}
        caption = f"F1 of each class, {whose}: {_OVER}."
        tables.append(Table("f1_by_class", caption, pd.DataFrame(base | columns), titles))
    own = results[best]
    columns = {metric: _cells(evidence, own, metric) for metric in BY_CLASS}
    known = {metric: cells for metric, cells in columns.items() if any(cells)}
    caption = f"What {best} gives for each class, {whose}: {_OVER}."
    titles = heads | {metric: _TITLES[metric] for metric in known}
    return [*tables, Table("classes_of_the_best", caption, pd.DataFrame(base | known), titles)]


def _file(figures: pd.DataFrame) -> Table:
    return Table("metrics_by_class", "All figures of each class.", figures, {})


def _images(evidence: Evidence) -> list[int]:
    """Give how many images of the folds each class has."""
    in_folds = evidence.plan.fold_of_row >= 0
    members = class_members(evidence.plan.manifest)
    return [int(np.sum(members[label] & in_folds)) for label in evidence.plan.manifest.classes]


def _cells(evidence: Evidence, own: BackboneResult, metric: str) -> list[str | None]:
    found = [own.summaries.get(f"{metric}/{metric_key(label)}") for label in evidence.plan.manifest.classes]
    return [None if one is None or one.mean is None else _cell(one) for one in found]


def _cell(one: Summary) -> str:
    return number(one.mean) + ("" if one.ci_low is None else f" ({interval(one)})")


def _sentences(evidence: Evidence, best: str, summaries: Mapping[str, Summary]) -> tuple[str, ...]:
    labels = evidence.plan.manifest.classes
    found = {
        label: one
        for label in labels
        if (one := summaries.get(f"f1/{metric_key(label)}")) is not None and one.mean is not None
    }
    if len(found) < 2:
        return (f"F1 of {best} is known for {counted(len(found), 'class', 'classes')} only.",)
    order = sorted(found, key=lambda label: found[label].mean or 0.0)
    low, high = order[0], order[-1]
    first = f"{best} has its lowest F1 for {_told(low, found[low])} and its highest for {_told(high, found[high])}."
    unclear = [label for label in order[1:] if _overlap(found[low], found[label])]
    if not unclear:
        return (first,)
    if len(unclear) == len(order) - 1:
        return first, "The intervals of all classes overlap with the least one's: which is the hardest is not settled."
    few = listing([on_one_line(label) for label in unclear[:4]])
    more = f" and {len(unclear) - 4} more" if len(unclear) > 4 else ""
    return first, f"Its interval overlaps with those of {few}{more}: which of them is the hardest is not settled."


def _told(label: str, one: Summary) -> str:
    within = "" if one.ci_low is None else f", 95 % interval {interval(one)}"
    return f"{on_one_line(label)} ({number(one.mean)}{within})"


def _overlap(one: Summary, other: Summary) -> bool:
    if one.ci_low is None or one.ci_high is None or other.ci_low is None or other.ci_high is None:
        return True
    return one.ci_low <= other.ci_high and other.ci_low <= one.ci_high

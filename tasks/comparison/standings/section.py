"""The part of a comparison that says which backbone is best and whether that is more than chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Drawing, Section, Table
from tasks.comparison.standings import told
from tasks.comparison.standings.recorded import COMPARISON
from tasks.comparison.standings.standing import FoldValues, Standings, stand
from tasks.comparison.standings.tables import fold_by_fold, image_by_image, pairwise, ranking_of
from tasks.comparison.text import listing, metric_title


def statistics_section(evidence: Evidence) -> Section | None:
    """Say which backbone is best and how sure that is; None where no fold run is finished."""
    if evidence.paired is None or evidence.compared is None:
        return None
    settings = evidence.plan.experiment.comparison
    own = stand(evidence.paired, evidence.compared, evidence.metrics, folds=_by_fold(evidence), rope=settings.rope)
    other_first = _other_first(evidence, own)
    verdict = [*told.verdict(own), *([other_first] if other_first else [])]
    sentences = _sentences(evidence, own, verdict)
    intervals = _intervals(evidence)
    return Section(
        key="statistics",
        title="Which backbone is best, and how sure that is",
        sentences=tuple(sentences),
        tables=tuple(_tables(own)),
        drawings=tuple(_drawings(own)),
        metrics={f"{name}/{key}": value for name, values in intervals.items() for key, value in values.items()},
        backbone_metrics=intervals,
        files={COMPARISON: _json(evidence, own, verdict, sentences)},
    )


def _by_fold(evidence: Evidence) -> FoldValues:
    rows = [evidence.plan.rows[fold] for fold in evidence.folds]
    values = {
        name: {m: [fold.metrics.get(m) for fold in evidence.finished(name)] for m in evidence.metrics}
        for name in evidence.names
    }
    return FoldValues(values, [len(own.train) for own in rows], [len(own.test) for own in rows])


def _sentences(evidence: Evidence, own: Standings, verdict: list[str]) -> list[str]:
    several = len(own.order) > 1
    said = [
        *verdict,
        *_common(evidence),
        told.next_one(own) if own.compared.caution else None,
        told.letters(own),
        *told.others_than(own),
        told.power(own),
        told.beliefs(own),
        told.basis(own, evidence.plan.experiment.comparison.n_draws),
        _repeats(evidence),
        told.by_image(own),
        told.ONE_DATA_SET if several else None,
        told.TRAINED_ONCE,
    ]
    return list(dict.fromkeys(sentence for sentence in said if sentence))


def _common(evidence: Evidence) -> list[str]:
    """Say on which folds backbones are compared, where that is not all."""
    said = []
    n_folds, folds = evidence.plan.n_folds, evidence.folds
    if len(folds) < n_folds:
        which = f"{'fold' if len(folds) == 1 else 'folds'} {listing([str(fold) for fold in folds])}"
        why = "which all of them have finished" if len(evidence.names) > 1 else "which it has finished"
        said.append(f"This is about {which} of {n_folds} alone, {why}.")
    if out := evidence.left_out:
        has = "has" if len(out) == 1 else "have"
        said.append(f"{listing(out)} {has} finished no fold that the others have, and so cannot be compared with them.")
    return said


def _repeats(evidence: Evidence) -> str | None:
    n_repeats = evidence.plan.n_repeats
    if n_repeats == 1:
        return None
    return (
        f"The images were cut into folds {n_repeats} times: an image's prediction here is the mean over those networks "
        f"that did not see it, and over folds all {len(evidence.folds)} count."
    )


def _other_first(evidence: Evidence, own: Standings) -> str | None:
    first = evidence.names[0]
    if first == own.order[0]:
        return None
    return f"{first} comes first by the mean of {metric_title(own.metric)} over folds, which orders other rankings."


def _tables(own: Standings) -> list[Table]:
    found = [ranking_of(own)]
    if own.pairs:
        found += [pairwise(own, metric) for metric in own.metrics]
    if own.over_folds:
        found.append(fold_by_fold(own))
    if own.by_image:
        found.append(image_by_image(own))
    names = [table.name for table in found]
    return [
        replace(table, name=f"{table.name}_{place}") if table.name in names[:place] else table
        for place, table in enumerate(found)
    ]


def _drawings(own: Standings) -> list[Drawing]:
    from tasks.comparison.standings.figures import beliefs_figure, leads_figure

    title, found = metric_title(own.metric), []
    if any(own.lead(own.order[0], name).difference is not None for name in own.order[1:]):
        tested = "Filled dots are beyond chance, adjusted for all pairs" if own.tested else "Nothing is tested"
        found.append(
            Drawing(
                "differences_from_best",
                f"Lead of {own.order[0]} in {title} over each other backbone on the same out-of-fold predictions, with "
                f"95 % intervals. {tested}; within the grey band, differences count as none (`comparison.rope`).",
                lambda: leads_figure(own),
            )
        )
    if len(own.order) > 2 and any(over.metric == own.metric for over in own.over_folds):
        found.append(
            Drawing(
                "probability_of_better",
                f"How likely each backbone is better in {title} than each other one by more than {own.rope:g}, over "
                "folds (Bayesian correlated t-test).",
                lambda: beliefs_figure(own),
            )
        )
    return found


def _intervals(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Give each backbone's intervals of its own `oof/…` metrics, which stand on all folds that it has finished."""
    found: dict[str, dict[str, float]] = {}
    for name, result in evidence.results.items():
        if not result.finished:
            continue
        compared = evidence.compared
        if compared is None or name not in evidence.names or len(result.finished) != len(evidence.folds):
            compared = evidence.compare({name: result.out_of_fold})
        ends = [own for own in compared.scores if own.model == name and own.low is not None]
        found[name] = {f"oof/{own.metric}_ci_low": own.low for own in ends if own.low is not None}
        found[name] |= {f"oof/{own.metric}_ci_high": own.high for own in ends if own.high is not None}
    return found


def _json(evidence: Evidence, own: Standings, verdict: list[str], sentences: list[str]) -> bytes:
    value: Mapping[str, Any] = {
        "metric": own.metric,
        "metrics": list(own.metrics),
        "order": list(own.order),
        "letters": own.letters,
        "verdict": verdict,
        "sentences": sentences,
        "caution": own.compared.caution,
        "n_images": own.compared.n_images,
        "n_groups": own.compared.n_groups,
        "folds": list(evidence.folds),
        "left_out": evidence.left_out,
        "scores": [score.to_json() for score in own.compared.scores],
        "differences": [found.to_json() for found in own.compared.differences],
        "over_folds": [
            {"metric": over.metric, "first": over.first, "second": over.second}
            | over.found.to_json()
            | over.belief._asdict()
            for over in own.over_folds
        ],
        "more_groups": own.more_groups,
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode()

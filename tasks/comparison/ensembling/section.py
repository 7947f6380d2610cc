"""The part of a comparison that tells whether an ensemble of backbones does better than the best single one."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from tasks.comparison.ensembling.compared import ALL, ComparedEnsemble, ComparedEnsembles, compare_ensembles
from tasks.comparison.ensembling.holdout_scores import holdout_scores
from tasks.comparison.evidence import Evidence
from tasks.comparison.interval_columns import with_intervals
from tasks.comparison.section import Section, Table
from tasks.comparison.statistics.paired import PairedDifference
from tasks.comparison.text import count, known, listing, metric_title, number, p_value, tested, told_interval

_TITLES = {"model": "Model", "metric": "Metric", "score": "score", "interval": "95 % interval"}
_DIFFERENCES = {
    "difference": "less the best backbone’s",
    "difference_interval": "95 % interval",
    "p_holm": "p, corrected",
}


def ensembles_section(evidence: Evidence) -> Section | None:
    """Give ensembles of backbones against the best single one, and what the fold ensembles do on the holdout.

    None where `comparison.ensembles` is off, or where there is neither a second backbone nor a holdout.
    """
    if not evidence.plan.experiment.comparison.ensembles:
        return None
    compared = evidence.once(compare_ensembles)
    tables = [] if compared is None else [_scores(compared), *_weights(compared)]
    sentences = [] if compared is None else list(_told(compared, evidence.metrics[0]))
    held_out = holdout_scores(evidence, () if compared is None else compared.ensembles)
    if held_out is not None:
        tables.append(_holdout_table(held_out.assign(model=held_out["model"].map(lambda own: _name(own, compared)))))
        sentences.append(_holdout_told(evidence, held_out))
    if not tables:
        return None
    return Section(
        key="ensembles",
        title="Ensembles",
        sentences=tuple(sentences),
        tables=tuple(tables),
        metrics={} if compared is None else dict(_metrics(compared)),
    )


def _told(compared: ComparedEnsembles, ranked_by: str) -> Iterator[str]:
    gains = [own.differences[ranked_by] for own in compared.ensembles]
    better = [gain for gain in gains if gain.better() == gain.first]
    worse = [gain for gain in gains if gain.better() == gain.second]
    title, best = metric_title(ranked_by), f"{compared.best}, the best single backbone,"
    if better:
        yield f"An ensemble does better than {best} in {title}."
    elif len(worse) == len(gains):
        yield f"No ensemble helps: {'both do' if len(worse) > 1 else 'it does'} worse than {best} in {title}."
    elif compared.caution is not None:
        yield f"Whether an ensemble does better than {best} in {title} cannot be told. {compared.caution}"
    else:
        yield f"No ensemble is told apart as better than {best} in {title}; that does not show that none is."
    for own in compared.ensembles:
        differences = [_difference(found) for found in own.differences.values()]
        yield f"{_title(own, compared)}: {'; '.join(differences)}."
    n_tests = sum(found.p is not None for own in compared.ensembles for found in own.differences.values())
    if n_tests > 1:
        yield f"The p-values are corrected for these {n_tests} comparisons (Holm)."
    if compared.greedy is not None:
        yield (
            f"On all images greedy selection takes {_recipe(compared.ensembles[-1])}. Its scores stand on what it took "
            "without each fold in turn, so that no image chose the ensemble that it is scored by."
        )
    yield (
        f"{compared.best} was chosen as the best one on these very images, and the ensembles were not: that favours "
        "it a little."
    )


def _difference(found: PairedDifference) -> str:
    title = metric_title(found.metric)
    if found.difference is None:
        return f"its {title} is undefined"
    p = "" if found.p_holm is None else f"; {tested(found.p_holm)}"
    sign = "" if found.higher_is_better else ", of which less is better"
    return f"{title} {found.difference:+z.3f} ({told_interval(found.low, found.high)}{p}){sign}"


def _title(own: ComparedEnsemble, compared: ComparedEnsembles) -> str:
    if own.name == ALL:
        every = "both" if len(own.weights) == 2 else f"all {len(own.weights)}"
        return f"The mean of {every} backbones against {compared.best}"
    return f"The ensemble by greedy selection against {compared.best}"


def _recipe(own: ComparedEnsemble) -> str:
    if len(own.members) == 1:
        return f"{own.members[0]} alone"
    return listing([f"{own.weights[name]} × {name}" for name in own.members])


def _name(model: str, compared: ComparedEnsembles | None) -> str:
    """Give a model's name on pages."""
    names = () if compared is None else [own.name for own in compared.ensembles]
    return {ALL: "mean of all", "greedy": "greedy selection"}[model] if model in names else model


def _scores(compared: ComparedEnsembles) -> Table:
    rows = [
        {"model": compared.best, "metric": metric, "score": own.value, "low": own.low, "high": own.high}
        for metric, own in compared.best_scores.items()
    ]
    for ensemble in compared.ensembles:
        for metric, own in ensemble.scores.items():
            gain = ensemble.differences[metric]
            rows.append(
                {
                    "model": _name(ensemble.name, compared),
                    "metric": metric,
                    "score": own.value,
                    "low": own.low,
                    "high": own.high,
                    "difference": gain.difference,
                    "difference_low": gain.low,
                    "difference_high": gain.high,
                    "p": gain.p,
                    "p_holm": gain.p_holm,
                }
            )
    order = list(compared.best_scores)
    figures = pd.DataFrame(rows).set_index(["model", "metric"]).astype(float).reset_index()
    frame = figures.sort_values("metric", key=lambda own: own.map(order.index), kind="stable")
    return Table(
        "ensembles",
        f"Ensembles of backbones and {compared.best}, the best single one, by out-of-fold predictions of the same "
        "images. Intervals draw whole groups; p is that of the sign-flip test, corrected for all comparisons of this "
        "table (Holm).",
        with_intervals(
            frame.reset_index(drop=True),
            interval=("low", "high"),
            difference_interval=("difference_low", "difference_high"),
        ),
        _TITLES | _DIFFERENCES,
        {"metric": metric_title, "p_holm": p_value},
    )


def _weights(compared: ComparedEnsembles) -> list[Table]:
    if compared.greedy is None:
        return []
    by_fold = compared.greedy.weights_of_fold
    rows = [{"chosen_on": "all images", **compared.greedy.weights}]
    rows += [{"chosen_on": f"all but fold {fold}", **dict(own)} for fold, own in by_fold.T.to_dict().items()]
    return [
        Table(
            "ensemble_weights",
            "How often each backbone stands in the ensemble that greedy selection puts together: on all images, for "
            "use; and without each fold, for the fold's score.",
            pd.DataFrame(rows),
            {"chosen_on": "Chosen on"} | {name: name for name in by_fold.columns},
        )
    ]


def _holdout_table(scores: pd.DataFrame) -> Table:
    return Table(
        "holdout_ensembles",
        "What all folds of a backbone together, and ensembles of backbones, do on the holdout, which nothing was "
        "trained on or chosen by. Intervals draw whole groups.",
        with_intervals(scores, interval=("low", "high")),
        _TITLES,
        {"metric": metric_title},
    )


def _holdout_told(evidence: Evidence, scores: pd.DataFrame) -> str:
    first = scores.iloc[0]
    n_images = len(evidence.plan.rows[0].holdout)
    return (
        f"On the {count(n_images, 'image')} of the holdout the folds of {first['model']} together have "
        f"{number(known(first['score']))} in {metric_title(first['metric'])} "
        f"({told_interval(known(first['low']), known(first['high']))})."
    )


def _metrics(compared: ComparedEnsembles) -> Iterator[tuple[str, float]]:
    for ensemble in compared.ensembles:
        for metric, own in ensemble.scores.items():
            if own.value is not None:
                yield f"ensemble_{ensemble.name}/oof/{metric}", own.value

"""Compares backbones of several recorded experiments, from the record alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.compare import Recorded, ranking_of, recorded
from tasks.comparison.record.across import (
    Unlike,
    same_fold_runs,
    settings_told,
    standings_of,
    unlike,
    unlike_settings,
)
from tasks.comparison.record.contenders import Contender, read_data
from tasks.comparison.standings import told
from tasks.comparison.standings.standing import Standings
from tasks.comparison.text import count, metric_title
from tasks.config import InputError
from tasks.dataset.wording import nearest
from tasks.tracking.artifacts import Artifacts
from tasks.tracking.fold_runs import completed_folds
from tasks.tracking.store import open_client, tracking_uri

SHORT_ID = 8
"""How many letters of an id tell runs or data apart."""


@dataclass(frozen=True)
class Row:
    """One backbone of one experiment, in the table that shows figures side by side."""

    contender: Contender
    own: Recorded

    @property
    def label(self) -> str:
        """What it is called."""
        return self.contender.label


@dataclass(frozen=True)
class Several:
    """Backbones of several experiments.

    Attributes
    ----------
    experiments : tuple of Recorded
        As they were asked for.
    metric : str
        What the first experiment ranks by.
    rows : tuple of Row
        The backbones, in that order.
    differences : tuple of Unlike
        How the data and folds of each pair of experiments differ.
    settings : mapping of str to list
        The settings that differ, with the value in each experiment.
    standings : tuple of Standings
        The tests, one for each set of backbones on the same images of the same folds.
    sentences : tuple of str
        What it comes to.
    """

    experiments: tuple[Recorded, ...]
    metric: str
    rows: tuple[Row, ...]
    differences: tuple[Unlike, ...]
    settings: Mapping[str, list[object]]
    standings: tuple[Standings, ...]
    sentences: tuple[str, ...]

    @property
    def letters(self) -> dict[str, str]:
        """By label, the letters of those that were tested together; empty where there are several such sets."""
        return self.standings[0].letters if len(self.standings) == 1 else {}

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam compare A B --json`."""
        return {
            "metric": self.metric,
            "experiments": [own.to_json() for own in self.experiments],
            "compared": [
                {
                    "label": row.label,
                    "experiment": row.own.found.name,
                    "experiment_run_id": row.own.found.run_id,
                    "backbone": row.contender.backbone,
                    "run_id": row.contender.run_id,
                    "folds": sorted(row.contender.fold_runs),
                }
                for row in self.rows
            ],
            "data": [
                {name: getattr(found, name) for name in ("first", "second")}
                | {
                    f"same_{name}": not getattr(found, name)
                    for name in ("images", "pixels", "labels", "groups", "folds")
                }
                | {"sentence": found.sentence}
                for found in self.differences
            ],
            "settings": dict(self.settings),
            "tests": [
                {
                    "order": list(own.order),
                    "letters": own.letters,
                    "verdict": told.verdict(own),
                    "caution": own.compared.caution,
                    "n_images": own.compared.n_images,
                    "n_groups": own.compared.n_groups,
                    "scores": [score.to_json() for score in own.compared.scores],
                    "differences": [found.to_json() for found in own.compared.differences],
                }
                for own in self.standings
            ],
            "sentences": list(self.sentences),
        }


def compare_several(
    names: Sequence[str], backbones: Sequence[str] | None = None, *, bring_reports: bool = False
) -> Several:
    """Compare the best backbone of each of several recorded experiments, or certain ones.

    Parameters
    ----------
    names : sequence of str
        Names, which stand for their newest run, or run ids; two or more.
    backbones : sequence of str or None
        Which backbones of each experiment that has them; None: the best of each.
    bring_reports : bool
        Whether the pages are copied here from a store that is elsewhere.

    Raises
    ------
    InputError
        An experiment or backbone is not there or has no finished fold run, a run is named twice, its artifacts are
        gone, or the store cannot be used.
    """
    from threadpoolctl import threadpool_limits

    experiments = [recorded(name, bring_report=bring_reports) for name in names]
    _refuse_twice(experiments)
    _refuse_unknown(experiments, backbones)
    with tempfile.TemporaryDirectory(prefix="foldcam-compare-") as scratch, threadpool_limits(1):
        client = open_client(tracking_uri())
        artifacts = Artifacts(client, Path(scratch))
        labels = _labels(experiments)
        data = [
            read_data(artifacts, own.found.run_id, label, own.found.data_digest)
            for own, label in zip(experiments, labels, strict=True)
        ]
        rows = []
        for own, known in zip(experiments, data, strict=True):
            for name in _chosen(own, backbones):
                run_id = own.found.backbones[name].run_id
                folds = completed_folds(client, artifacts, run_id)
                rows.append(Row(Contender(f"{known.label}/{name}", name, run_id, known, folds, artifacts), own))
        metric = experiments[0].found.metric
        contenders = [row.contender for row in rows]
        standings = standings_of(contenders, metric)
    differences = [unlike(one, other) for place, one in enumerate(data) for other in data[place + 1 :]]
    settings = unlike_settings(data)
    sentences = [
        *(sentence for own in standings for sentence in _told(own)),
        *same_fold_runs(contenders),
        *(found.sentence for found in differences),
        *_unfinished(rows),
        *_picked(experiments, backbones),
        *_other_metrics(experiments, labels),
        *([said] if (said := settings_told(settings)) else []),
    ]
    return Several(
        tuple(experiments), metric, tuple(rows), tuple(differences), settings, tuple(standings), tuple(sentences)
    )


def _told(own: Standings) -> list[str]:
    letters = told.letters(own)
    return [*told.verdict(own), *([letters] if letters else [])]


def _picked(experiments: Sequence[Recorded], backbones: Sequence[str] | None) -> list[str]:
    """Say that the best of several, picked by the figures that are shown, looks a little better than it is."""
    if backbones is not None or all(len(ranking_of(own.found)) < 2 for own in experiments):
        return []
    return [
        "Each is the best of its experiment by these very predictions, so its figure is a little too good, and a "
        "difference may be as well; `--backbone NAME` compares what was named beforehand."
    ]


def _other_metrics(experiments: Sequence[Recorded], labels: Sequence[str]) -> list[str]:
    first = experiments[0].found.metric
    return [
        f"{label} ranks by {metric_title(own.found.metric)} itself; here all stand by {metric_title(first)}, as "
        f"{labels[0]} does."
        for own, label in zip(experiments, labels, strict=True)
        if own.found.metric != first
    ]


def _labels(experiments: Sequence[Recorded]) -> list[str]:
    """Give what the experiments are called: their names, with the beginning of the run's id where a name is shared."""
    names = [own.found.name for own in experiments]
    return [
        f"{own.found.name}@{own.found.run_id[:SHORT_ID]}" if names.count(own.found.name) > 1 else own.found.name
        for own in experiments
    ]


def _chosen(own: Recorded, backbones: Sequence[str] | None) -> list[str]:
    finished = [name for name in ranking_of(own.found) if own.found.backbones[name].folds_finished]
    if not finished:
        raise InputError(
            f"No fold run of the experiment {own.found.name!r} (MLflow run {own.found.run_id}) is finished, so there "
            "is nothing to compare yet. `foldcam run FILE` goes on with it."
        )
    return finished[:1] if backbones is None else [name for name in finished if name in backbones]


def _refuse_twice(experiments: Sequence[Recorded]) -> None:
    ids = [own.found.run_id for own in experiments]
    for own in experiments:
        if ids.count(own.found.run_id) > 1:
            raise InputError(
                f"The run {own.found.run_id} of the experiment {own.found.name!r} is named twice: a name stands for "
                "its newest run. Give the run id of an older one; MLflow's page lists them."
            )


def _refuse_unknown(experiments: Sequence[Recorded], backbones: Sequence[str] | None) -> None:
    known = list(dict.fromkeys(name for own in experiments for name in own.found.backbones))
    for name in backbones or ():
        if name not in known:
            near = nearest(name, known)
            hint = f" Did you mean {near}?" if near else ""
            raise InputError(f"--backbone: none of the experiments has {name!r}.{hint} They have: {', '.join(known)}.")


def _unfinished(rows: Sequence[Row]) -> list[str]:
    return [
        f"Of {row.label} {count(len(row.contender.fold_runs), 'fold')} of {row.own.found.n_folds} are finished, and "
        "backbones are compared on the folds that they have in common."
        for row in rows
        if len(row.contender.fold_runs) < row.own.found.n_folds
    ]

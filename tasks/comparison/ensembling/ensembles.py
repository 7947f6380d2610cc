"""Ensembles of backbones: the mean of all, and the one that greedy forward selection puts together.

The ensemble of one backbone's fold models is `pooling.average_probabilities` over its folds' tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.pooling import average_probabilities, predictions_of
from tasks.comparison.statistics.weighted import weighted_metric
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions
from tasks.evaluation.names import higher_is_better
from tasks.evaluation.outputs import decide
from tasks.evaluation.tables import THRESHOLD

STEPS = 25
"""How many models greedy selection draws, one backbone as often as it helps."""


@dataclass(frozen=True, eq=False)
class GreedyEnsemble:
    """What greedy forward selection has chosen, and how it does on images that had no say in it.

    Attributes
    ----------
    table : DataFrame
        Out-of-fold predictions, one row an image: those of each fold by the ensemble that the other folds chose.
    weights : mapping of str to int
        How often each backbone stands in the ensemble that all images choose: the one to use on new images.
    weights_of_fold : DataFrame
        The same for the ensembles behind `table`: one row a fold, one column a backbone.
    """

    table: pd.DataFrame
    weights: Mapping[str, int]
    weights_of_fold: pd.DataFrame


@dataclass(frozen=True)
class _Choosers:
    """Predictions of every backbone for the images that choose."""

    y_true: NDArray[np.int64]
    y_prob: NDArray[np.float64]
    """Of shape (n_backbones, n_images, n_classes)."""
    thresholds: NDArray[np.float64] | None
    """Of the same shape, with several labels."""
    targets: Targets
    metric: str

    def value(self, numbers: tuple[int, ...]) -> float:
        """Return how good the mean of these backbones is, larger values for the better; undefined: the worst."""
        chosen = list(numbers)
        y_prob = self.y_prob[chosen].mean(axis=0)
        thresholds = 0.5 if self.thresholds is None else self.thresholds[chosen].mean(axis=0)
        own = Predictions(self.y_true, y_prob, decide(y_prob, self.targets.kind, thresholds))
        everything = np.zeros(len(y_prob), dtype=np.int64)
        found = float(weighted_metric(self.metric, own, everything, self.targets)(np.ones((1, 1)))[0])
        if np.isnan(found):
            return -np.inf
        return found if higher_is_better(self.metric) else -found


def average_backbones(
    tables: Mapping[str, pd.DataFrame], targets: Targets, weights: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Give the predictions of an ensemble of backbones: the mean of their probabilities for the same images.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By backbone, its predictions for the same images of the same folds: out-of-fold, or for the holdout.
    targets
        The kind of labels and the classes.
    weights : mapping of str to int, or None
        How often each backbone counts, 0 where it is not named; None: each once.

    Returns
    -------
    DataFrame
        As `average_probabilities` gives it, but that `fold` stays.

    Raises
    ------
    ValueError
        If a backbone has no table, none is left, or the tables differ in columns, images, folds, pixels or true labels.
    """
    counts = dict.fromkeys(tables, 1) if weights is None else weights
    if unknown := [name for name in counts if name not in tables]:
        raise ValueError(f"There are no predictions of {unknown[0]!r}, which is to be in the ensemble.")
    _check_folds(tables)
    averaged = average_probabilities([tables[name] for name in tables for _ in range(counts.get(name, 0))], targets)
    first = next(iter(tables.values())).sort_values("path", ignore_index=True)
    return averaged.assign(fold=first["fold"])


def greedy_ensemble(
    tables: Mapping[str, pd.DataFrame], targets: Targets, metric: str, *, steps: int = STEPS
) -> GreedyEnsemble:
    """Put an ensemble together by forward selection with replacement, scored on images that did not choose it.

    Starting from nothing, the backbone that makes the mean of the chosen ones best is added, again and again; the
    ensemble is the best one on that way, the smallest of equals (Caruana, Niculescu-Mizil, Crew and Ksikes, 2004,
    "Ensemble Selection from Libraries of Models", ICML, section 2). The same images cannot both choose and score: for
    the images of each fold the ensemble is chosen on those of the other folds. What chooses are out-of-fold
    predictions too, so that no model has seen the images that it is chosen by.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By backbone, its out-of-fold predictions of the same images in the same two folds or more.
    targets
        The kind of labels and the classes.
    metric
        What the choice makes best, one of `evaluation.names.metrics_of(targets.kind)`.
    steps
        How many backbones are drawn, from 1 on.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or the tables differ in columns, images, folds, pixels or true labels.
    InputError
        If there is no such metric.
    """
    higher_is_better(metric)
    average_backbones(tables, targets)
    aligned = {name: table.sort_values("path", ignore_index=True) for name, table in tables.items()}
    fold = next(iter(aligned.values()))["fold"]
    folds = sorted(set(fold))
    if len(folds) < 2:
        raise ValueError("An ensemble is chosen on some folds and scored on another, and there is one fold only.")
    weights_of_fold: dict[int, dict[str, int]] = {}
    parts = []
    for own in folds:
        others = {name: table[fold != own] for name, table in aligned.items()}
        weights_of_fold[own] = _chosen(others, targets, metric, steps)
        parts.append(average_backbones(_of(aligned, fold == own), targets, weights_of_fold[own]))
    return GreedyEnsemble(
        table=pd.concat(parts).sort_values("path", ignore_index=True),
        weights=_chosen(aligned, targets, metric, steps),
        weights_of_fold=pd.DataFrame.from_dict(weights_of_fold, orient="index", columns=list(tables)).rename_axis(
            "fold"
        ),
    )


def _of(tables: Mapping[str, pd.DataFrame], rows: pd.Series[bool]) -> dict[str, pd.DataFrame]:
    return {name: table[rows].reset_index(drop=True) for name, table in tables.items()}


def _chosen(tables: Mapping[str, pd.DataFrame], targets: Targets, metric: str, steps: int) -> dict[str, int]:
    """Return how often each backbone stands in the best ensemble on the way."""
    choosers = _choosers(list(tables.values()), targets, metric)
    known: dict[tuple[int, ...], float] = {}

    def value(numbers: tuple[int, ...]) -> float:
        if numbers not in known:
            known[numbers] = choosers.value(numbers)
        return known[numbers]

    way: list[tuple[int, ...]] = [()]
    for _ in range(steps):
        longer: list[tuple[int, ...]] = [tuple(sorted((*way[-1], number))) for number in range(len(tables))]
        way.append(max(longer, key=value))
    best = max(way[1:], key=value)
    often = Counter(best)
    return {name: often[number] for number, name in enumerate(tables)}


def _choosers(tables: Sequence[pd.DataFrame], targets: Targets, metric: str) -> _Choosers:
    predictions = [predictions_of(table, targets) for table in tables]
    columns = [THRESHOLD + name for name in targets.classes]
    several = targets.kind == "multilabel"
    return _Choosers(
        y_true=predictions[0].y_true,
        y_prob=np.stack([own.y_prob for own in predictions]),
        thresholds=np.stack([table[columns].to_numpy(dtype=np.float64) for table in tables]) if several else None,
        targets=targets,
        metric=metric,
    )


def _check_folds(tables: Mapping[str, pd.DataFrame]) -> None:
    folds = [table.set_index("path")["fold"].sort_index() for table in tables.values()]
    if not all(other.equals(folds[0]) for other in folds[1:]):
        raise ValueError("The backbones' tables differ in images or in their folds, so they do not compare.")

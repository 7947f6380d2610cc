"""Ensembles of backbones held against the best single one, by the primary test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tasks.comparison.ensembling.ensembles import GreedyEnsemble, average_backbones, greedy_ensemble
from tasks.comparison.evidence import Evidence
from tasks.comparison.statistics.multiple import holm
from tasks.comparison.statistics.paired import ModelScore, PairedDifference

ALL, GREEDY = "all", "greedy"
"""The names of the ensembles: the mean of all backbones, and the one that greedy selection puts together."""


@dataclass(frozen=True, eq=False)
class ComparedEnsemble:
    """An ensemble of backbones, and how it does against the best single one on the same images.

    Attributes
    ----------
    name : {"all", "greedy"}
        Which one.
    weights : mapping of str to int
        How often each backbone counts in it when it is used on new images.
    scores : mapping of str to ModelScore
        By metric, over images that had no say in what the ensemble is made of.
    differences : mapping of str to PairedDifference
        By metric, its score less that of the best backbone; `p_holm` is adjusted for all ensembles and metrics.
    """

    name: str
    weights: Mapping[str, int]
    scores: Mapping[str, ModelScore]
    differences: Mapping[str, PairedDifference]

    @property
    def members(self) -> list[str]:
        """The backbones that count in it."""
        return [name for name, often in self.weights.items() if often]


@dataclass(frozen=True, eq=False)
class ComparedEnsembles:
    """The ensembles of a comparison.

    Attributes
    ----------
    best : str
        The best single backbone.
    best_scores : mapping of str to ModelScore
        Its scores by metric.
    ensembles : tuple of ComparedEnsemble
        The mean of all, and the greedy one where there are two folds or more in common.
    greedy : GreedyEnsemble or None
        How the greedy one was chosen, fold by fold.
    caution : str or None
        Why nothing is claimed.
    """

    best: str
    best_scores: Mapping[str, ModelScore]
    ensembles: tuple[ComparedEnsemble, ...]
    greedy: GreedyEnsemble | None
    caution: str | None


def compare_ensembles(evidence: Evidence) -> ComparedEnsembles | None:
    """Hold the ensembles against the best backbone, on the folds that all have; None with fewer than two backbones.

    The metrics are the one that ranks the backbones, which is also what greedy selection makes best, and `log_loss`.
    The best backbone was chosen on these images and the ensembles were not, which favours the backbone.
    """
    tables, targets, ranked_by = evidence.tables, evidence.plan.manifest.targets, evidence.metrics[0]
    if len(tables) < 2:
        return None
    best = next(iter(tables))
    greedy = greedy_ensemble(tables, targets, ranked_by) if len(set(tables[best]["fold"])) > 1 else None
    candidates: dict[str, tuple[Mapping[str, int], pd.DataFrame]] = {
        ALL: (dict.fromkeys(tables, 1), average_backbones(tables, targets))
    }
    if greedy is not None:
        candidates[GREEDY] = greedy.weights, greedy.table
    metrics = list(dict.fromkeys([ranked_by, "log_loss"]))
    found = {
        name: evidence.compare({name: table, best: tables[best]}, metrics) for name, (_, table) in candidates.items()
    }
    corrected = _corrected([own for one in found.values() for own in one.differences])
    ensembles = tuple(
        ComparedEnsemble(
            name,
            weights,
            {own.metric: own for own in found[name].scores if own.model == name},
            {own.metric: own for own in corrected if own.first == name},
        )
        for name, (weights, _) in candidates.items()
    )
    of_best = {own.metric: own for own in found[ALL].scores if own.model == best}
    return ComparedEnsembles(best, of_best, ensembles, greedy, found[ALL].caution)


def best_ensemble(evidence: Evidence) -> tuple[dict[str, int], PairedDifference] | None:
    """Give the ensemble that is told apart as better than the best single backbone; None where there is none.

    Returns
    -------
    dict of str to int, PairedDifference
        How often each backbone counts, those that do; and its gain in the metric that ranks the backbones, on images
        that had no say in what it is made of. Of several, the one with the largest gain.
    """
    compared = evidence.once(compare_ensembles)
    ranked_by = evidence.metrics[0]
    better = [
        (own.weights, gain)
        for own in (() if compared is None else compared.ensembles)
        if (gain := own.differences[ranked_by]).better() == own.name and len(own.members) > 1
    ]
    if not better:
        return None
    weights, gain = max(better, key=lambda own: abs(own[1].difference or 0.0))
    return {name: often for name, often in weights.items() if often}, gain


def _corrected(differences: list[PairedDifference]) -> list[PairedDifference]:
    """Adjust the p-values of several comparisons for their number."""
    adjusted = holm(np.array([np.nan if own.p is None else own.p for own in differences]))
    return [
        replace(own, p_holm=None if np.isnan(value) else float(value))
        for own, value in zip(differences, adjusted, strict=True)
    ]

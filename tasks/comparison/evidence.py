"""What a comparison goes by: the backbones' results, and their predictions on the folds that all of them have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from tasks.comparison.backbone import Fetch, read_out_of_fold
from tasks.comparison.results import BackboneResult, FoldResult
from tasks.comparison.statistics.paired import Comparison, compare_models
from tasks.comparison.statistics.pairing import PairedPredictions, pair_predictions
from tasks.workers.plan import Plan


@dataclass(frozen=True, eq=False)
class Evidence:
    """What all parts of a comparison go by.

    Attributes
    ----------
    plan : Plan
        Images, folds and settings.
    results : mapping of str to BackboneResult
        By backbone, those that have finished fold runs, best first.
    fetch : callable
        Gives the local path of a run's artifact.
    """

    plan: Plan
    results: Mapping[str, BackboneResult]
    fetch: Fetch

    @property
    def metrics(self) -> list[str]:
        """The metrics that backbones are compared in; the one that ranks them first."""
        ranked_by, chosen = self.plan.experiment.metric, self.plan.experiment.comparison.metrics
        return list(dict.fromkeys([ranked_by, *(["log_loss"] if chosen is None else chosen)]))

    @property
    def groups(self) -> pd.Series:
        """What images belong together, by path; None where an image is a group of its own."""
        return self.plan.manifest.table.set_index("path")["group"]

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds that all backbones have finished."""
        finished = [{fold.fold for fold in own.finished} for own in self.results.values()]
        return tuple(sorted(set.intersection(*finished))) if finished else ()

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """By backbone, its out-of-fold predictions on the folds that all have; empty where there is no such fold."""
        return {name: self._table(own) for name, own in self.results.items()} if self.folds else {}

    @cached_property
    def paired(self) -> PairedPredictions | None:
        """The backbones' predictions side by side; None where they have no fold in common."""
        if not self.tables:
            return None
        return pair_predictions(self.tables, self.plan.manifest.targets, self.groups)

    @cached_property
    def compared(self) -> Comparison | None:
        """The primary tests between all pairs of backbones; None where they have no fold in common."""
        if self.paired is None:
            return None
        settings = self.plan.experiment
        return compare_models(self.paired, self.metrics, n_draws=settings.comparison.n_draws, seed=settings.seed)

    def finished(self, backbone: str) -> list[FoldResult]:
        """Give a backbone's fold runs of the folds that all have, in order."""
        return sorted((f for f in self.results[backbone].finished if f.fold in self.folds), key=lambda f: f.fold)

    def _table(self, own: BackboneResult) -> pd.DataFrame:
        if len(self.folds) == len(own.finished):
            return own.out_of_fold
        return read_out_of_fold(self.plan, self.finished(own.name), self.fetch)

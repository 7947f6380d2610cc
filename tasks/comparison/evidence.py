"""What a comparison goes by: the backbones' results, and their predictions on the folds that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd

from tasks.comparison.backbone import Fetch, read_out_of_fold
from tasks.comparison.common_folds import Common, in_common
from tasks.comparison.costs import Cost
from tasks.comparison.results import BackboneResult, FoldResult
from tasks.comparison.statistics.paired import Comparison, compare_models
from tasks.comparison.statistics.pairing import PairedPredictions, pair_predictions
from tasks.workers.plan import Plan

T = TypeVar("T")


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
    costs : mapping of str to Cost
        By backbone, what it costs; empty where that is not asked for.
    """

    plan: Plan
    results: Mapping[str, BackboneResult]
    fetch: Fetch
    costs: Mapping[str, Cost] = field(default_factory=dict)

    @cached_property
    def _made(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def once(self, make: Callable[..., T], *arguments: str) -> T:
        """Give what a function makes of this evidence and `arguments`; it is made once, whoever asks for it."""
        key = (make, *arguments)
        if key not in self._made:
            self._made[key] = make(self, *arguments)
        made: T = self._made[key]
        return made

    def compare(self, tables: Mapping[str, pd.DataFrame], metrics: Sequence[str] | None = None) -> Comparison:
        """Compare models on the same images by the primary test.

        Parameters
        ----------
        tables : mapping of str to DataFrame
            By model, one row an image, as `pool_out_of_fold` gives it.
        metrics : sequence of str or None
            None: `metrics` of this evidence.

        Raises
        ------
        ValueError
            The tables do not match, as `pair_predictions` says.
        """
        paired = pair_predictions(tables, self.plan.manifest.targets, self.groups)
        return self._tested(paired, self.metrics if metrics is None else metrics)

    @property
    def metrics(self) -> list[str]:
        """The metrics that backbones are compared in; the one that ranks them first."""
        ranked_by, chosen = self.plan.experiment.metric, self.plan.experiment.comparison.metrics
        return list(dict.fromkeys([ranked_by, *(["log_loss"] if chosen is None else chosen)]))

    @cached_property
    def groups(self) -> pd.Series:
        """What images belong together, by path; None where an image is a group of its own."""
        return self.plan.manifest.table.set_index("path")["group"]

    @cached_property
    def _common(self) -> Common:
        return in_common({name: [fold.fold for fold in own.finished] for name, own in self.results.items()})

    @property
    def names(self) -> tuple[str, ...]:
        """The backbones that are compared, best first: those that have finished a fold in common (`in_common`)."""
        return self._common.names

    @property
    def left_out(self) -> list[str]:
        """The backbones that have finished fold runs and no fold in common with those that are compared."""
        return [name for name, own in self.results.items() if own.finished and name not in self.names]

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that all backbones of `names` have finished."""
        return self._common.folds

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """By backbone of `names`, its out-of-fold predictions on `folds`; empty where none has finished a fold."""
        return {name: self._table(self.results[name]) for name in self.names}

    @cached_property
    def paired(self) -> PairedPredictions | None:
        """The predictions of the backbones of `names` side by side; None where none has finished a fold."""
        if not self.tables:
            return None
        return pair_predictions(self.tables, self.plan.manifest.targets, self.groups)

    @cached_property
    def compared(self) -> Comparison | None:
        """The primary tests between all pairs of backbones of `names`; None where none has finished a fold."""
        return None if self.paired is None else self._tested(self.paired, self.metrics)

    def _tested(self, paired: PairedPredictions, metrics: Sequence[str]) -> Comparison:
        settings = self.plan.experiment
        return compare_models(paired, metrics, n_draws=settings.comparison.n_draws, seed=settings.seed)

    def finished(self, backbone: str) -> list[FoldResult]:
        """Give a backbone's fold runs of `folds`, in order."""
        return sorted((f for f in self.results[backbone].finished if f.fold in self.folds), key=lambda f: f.fold)

    def _table(self, own: BackboneResult) -> pd.DataFrame:
        if len(self.folds) == len(own.finished):
            return own.out_of_fold
        return read_out_of_fold(self.plan, self.finished(own.name), self.fetch)

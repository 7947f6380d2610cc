"""What is registered: one backbone or a weighted mean of several, each as the mean of its calibrated fold models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tasks.comparison.calibration.fold_scalings import (
    TEST,
    fold_scalings,
    scaled_holdout,
    scaled_out_of_fold,
    scaled_table,
)
from tasks.comparison.ensembling.compared import best_ensemble
from tasks.comparison.ensembling.ensembles import average_backbones
from tasks.comparison.evidence import Evidence
from tasks.comparison.statistics.paired import ModelScore
from tasks.evaluation.prediction_sets import Scores, scores_of
from tasks.evaluation.scaling import Scaling
from tasks.evaluation.tables import PROBABILITY, THRESHOLD

COVERAGE = 0.9
"""How often prediction sets are to hold what is true."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Backbones whose fold models answer together.

    Attributes
    ----------
    evidence : Evidence
        The comparison, cut to these backbones.
    weights : mapping of str to int
        How often each backbone counts.
    """

    evidence: Evidence
    weights: Mapping[str, int]

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones, the one that counts most first."""
        return tuple(sorted(self.weights, key=lambda name: -self.weights[name]))

    @property
    def title(self) -> str:
        """What people call it."""
        return " + ".join(
            name if self.weights[name] == 1 else f"{self.weights[name]} × {name}" for name in self.backbones
        )

    @cached_property
    def scalings(self) -> dict[str, dict[int, Scaling]]:
        """By backbone and fold; a fold without one serves its probabilities as they are."""
        return {name: fold_scalings(self.evidence, name) for name in self.weights}

    @cached_property
    def out_of_fold(self) -> pd.DataFrame:
        """Its calibrated out-of-fold predictions, one row an image."""
        tables = {name: scaled_out_of_fold(self.evidence, name, own) for name, own in self.scalings.items()}
        return average_backbones(tables, self.evidence.plan.manifest.targets, self.weights)

    @cached_property
    def holdout(self) -> pd.DataFrame | None:
        """Its calibrated predictions for the holdout, one row an image; None where there is none."""
        tables = {name: scaled_holdout(self.evidence, name, own) for name, own in self.scalings.items()}
        found = {name: table for name, table in tables.items() if table is not None}
        if len(found) < len(tables):
            return None
        return average_backbones(found, self.evidence.plan.manifest.targets, self.weights)

    @cached_property
    def by_fold(self) -> list[pd.DataFrame]:
        """The calibrated predictions of each fold's models for the fold's own images, in the order of the folds."""
        return list(self._by_fold())

    @property
    def by_one_fold(self) -> pd.DataFrame:
        """What the models of one fold alone say of each image that they left out: a row an image and repeat.

        So new images are asked about for drift (`one_fold`); means over repeats, as `out_of_fold` has them, are of
        another distribution.
        """
        return pd.concat(self.by_fold, ignore_index=True)

    def _by_fold(self) -> Iterator[pd.DataFrame]:
        targets = self.evidence.plan.manifest.targets
        for fold in self.evidence.folds:
            tables = {}
            for name, scalings in self.scalings.items():
                run_id = next(own.run_id for own in self.evidence.finished(name) if own.fold == fold)
                table = pd.read_parquet(self.evidence.fetch(str(run_id), TEST))
                tables[name] = scaled_table(table, scalings[fold], targets) if fold in scalings else table
            yield average_backbones(tables, targets, self.weights)

    @property
    def scores(self) -> Scores:
        """How strange the truth is to each fold's models, for prediction sets."""
        targets = self.evidence.plan.manifest.targets
        columns = [PROBABILITY + name for name in targets.classes]
        return [
            scores_of(table[columns].to_numpy(), targets.numbers(table["true"].tolist()), targets.kind)
            for table in self.by_fold
        ]

    @property
    def thresholds(self) -> list[float]:
        """From which calibrated probability on an image has a label; empty where it has one class or grade."""
        columns = [THRESHOLD + name for name in self.evidence.plan.manifest.classes]
        if self.evidence.plan.manifest.targets.kind != "multilabel":
            return []
        by_fold = [table[columns].to_numpy(dtype=np.float64)[0] for table in self.by_fold]
        return [float(value) for value in np.mean(by_fold, axis=0)]

    def members(self) -> list[dict[str, Any]]:
        """Give by fold each backbone's share and the weights and biases of its scaling, as the champion reads them."""
        total, n = sum(self.weights.values()), len(self.evidence.plan.manifest.classes)
        unscaled = ((1.0,) * n, (0.0,) * n)
        found = []
        for fold in self.evidence.folds:
            networks = {}
            for name, weight in self.weights.items():
                own = self.scalings[name].get(fold)
                weights, biases = unscaled if own is None else (own.weights, own.biases)
                networks[name] = {"share": weight / total, "weights": list(weights), "biases": list(biases)}
            found.append({"fold": fold, "networks": networks})
        return found

    @cached_property
    def figures(self) -> dict[str, list[ModelScore]]:
        """Its metrics with intervals `out-of-fold`, and on the `holdout` where there is one."""
        tables = {"out-of-fold": self.out_of_fold, "holdout": self.holdout}
        return {name: self.scored(table) for name, table in tables.items() if table is not None}

    def scored(self, table: pd.DataFrame) -> list[ModelScore]:
        """Give the metrics of its predictions, with the group bootstrap's intervals."""
        return list(self.evidence.compare({self.title: table}).scores)


def best_mixture(evidence: Evidence) -> Mixture | str:
    """Give what is to be registered, or why nothing can be.

    It is the best backbone; or, where `champion.ensemble` allows it, the ensemble that is told apart as better.
    """
    if not evidence.results:
        return "No fold run is finished, so there is nothing to register."
    plan, settings = evidence.plan, evidence.plan.experiment
    found = best_ensemble(evidence) if settings.champion.ensemble and settings.comparison.ensembles else None
    best = next(iter(evidence.results))
    for weights in ([] if found is None else [found[0]]) + [{best: 1}]:
        cut = {name: own for name, own in evidence.results.items() if name in weights}
        if all(len(own.finished) == plan.n_folds for own in cut.values()):
            return Mixture(Evidence(plan, cut, evidence.fetch), weights)
    done = len(evidence.results[best].finished)
    return f"{best}, the best backbone, has {done} of {plan.n_folds} folds, and only whole ones are registered."

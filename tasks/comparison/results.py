"""What an experiment gives: fold runs, backbones, the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from tasks.comparison.summary import Summary

FoldStatus = Literal["completed", "reused", "failed"]


@dataclass(frozen=True)
class FoldResult:
    """One fold run and how it ended.

    Attributes
    ----------
    backbone, fold
        Which one.
    status
        `completed` now, `reused` from an earlier call, or `failed`.
    run_id
        Its MLflow run; None where it failed before one was made.
    error
        Why it failed; None otherwise.
    seconds
        What it took, now or then.
    metrics
        Test metrics by name.
    """

    backbone: str
    fold: int
    status: FoldStatus
    run_id: str | None = None
    error: str | None = None
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Give the fields of DESIGN's JSON."""
        return {
            "fold": self.fold,
            "run_id": self.run_id,
            "status": self.status,
            "error": self.error,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
        }


@dataclass(frozen=True)
class BackboneResult:
    """One backbone over its folds.

    Attributes
    ----------
    name, run_id
        Registry name; its MLflow run.
    summaries
        By metric.
    folds
        Its fold runs in order; those that were not asked for and are not done are left out.
    read
        Gives `out_of_fold`.
    pooled
        Metrics of `out_of_fold` taken together.
    holdout
        Metrics of the fold ensemble on the holdout; empty without one.
    """

    name: str
    run_id: str
    summaries: Mapping[str, Summary]
    folds: tuple[FoldResult, ...]
    read: Callable[[], pd.DataFrame] = field(repr=False)
    pooled: Mapping[str, float] = field(repr=False)
    holdout: Mapping[str, float] = field(default_factory=dict, repr=False)

    @cached_property
    def out_of_fold(self) -> pd.DataFrame:
        """Its predictions, one row an image of its finished folds; read when first asked for."""
        return self.read()

    @property
    def finished(self) -> tuple[FoldResult, ...]:
        """The fold runs that have results."""
        return tuple(fold for fold in self.folds if fold.status != "failed")

    @property
    def seconds(self) -> float:
        """Seconds that the finished fold runs took together."""
        return sum(fold.seconds or 0.0 for fold in self.finished)


@dataclass(frozen=True)
class ExperimentResult:
    """A whole experiment, with the fields of `foldcam run --json` and data frames.

    Attributes
    ----------
    experiment, experiment_run_id
        The name; the MLflow run.
    status
        `completed`: every fold run that was asked for has its result; `partial`: some have; `failed`: none has.
    data_digest
        SHA-256 of the manifest.
    metric
        What `ranking` goes by.
    backbones
        By name, in the file's order.
    ranking
        Names, best first.
    report
        Path of the page `report.html`; None where nothing was finished.
    seconds
        By step.
    tracking_uri
        Where the runs are.
    champion
        What became of the best model in the registry, as `Crowned.to_json` of `tasks.comparison.champion` gives it;
        empty where that was not asked for.
    notes
        What must be told of where the backbones look, in sentences.
    comparison
        Scores with intervals, differences with tests, letters and what they come to in sentences, as `comparison.json`
        has them; None where nothing is finished.
    """

    experiment: str
    experiment_run_id: str
    status: Literal["completed", "partial", "failed"]
    data_digest: str
    metric: str
    backbones: Mapping[str, BackboneResult]
    ranking: list[str]
    report: str | None
    seconds: Mapping[str, float]
    tracking_uri: str
    champion: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    comparison: Mapping[str, Any] | None = None

    @property
    def failures(self) -> list[FoldResult]:
        """The fold runs that failed."""
        return [fold for own in self.backbones.values() for fold in own.folds if fold.status == "failed"]

    @property
    def metrics(self) -> pd.DataFrame:
        """One row a finished fold run: `backbone`, `fold` and a column a test metric."""
        rows = [
            {"backbone": fold.backbone, "fold": fold.fold, **fold.metrics}
            for own in self.backbones.values()
            for fold in own.finished
        ]
        return pd.DataFrame(rows)

    @property
    def out_of_fold(self) -> pd.DataFrame:
        """Out-of-fold predictions of all backbones, with a first column `backbone`."""
        tables = [own.out_of_fold.assign(backbone=name) for name, own in self.backbones.items() if len(own.out_of_fold)]
        if not tables:
            return pd.DataFrame()
        table = pd.concat(tables, ignore_index=True)
        return table[["backbone", *table.columns.drop("backbone")]]

    @property
    def runs(self) -> pd.DataFrame:
        """One row a fold run: `backbone`, `fold`, `status`, `run_id`, `seconds`, `error`."""
        rows = [{"backbone": fold.backbone, **fold.to_json()} for own in self.backbones.values() for fold in own.folds]
        return pd.DataFrame(rows, columns=["backbone", "fold", "status", "run_id", "seconds", "error"])

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam run --json`."""
        return {
            "experiment": self.experiment,
            "experiment_run_id": self.experiment_run_id,
            "status": self.status,
            "data_digest": self.data_digest,
            "backbones": {
                name: {
                    "run_id": own.run_id,
                    "metrics": {metric: summary.to_json() for metric, summary in own.summaries.items()},
                    "folds": [fold.to_json() for fold in own.folds],
                }
                for name, own in self.backbones.items()
            },
            "ranking": self.ranking,
            "comparison": self.comparison,
            "champion": dict(self.champion) or None,
            "report": self.report,
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
        }

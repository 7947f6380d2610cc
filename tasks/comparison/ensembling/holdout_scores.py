"""What fold ensembles, and ensembles of backbones, do on the holdout."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tasks.comparison.backbone import read_holdout
from tasks.comparison.ensembling.compared import ComparedEnsemble
from tasks.comparison.ensembling.ensembles import average_backbones
from tasks.comparison.evidence import Evidence

COLUMNS = ("model", "metric", "score", "low", "high")


def holdout_scores(evidence: Evidence, ensembles: Sequence[ComparedEnsemble] = ()) -> pd.DataFrame | None:
    """Score each backbone's fold ensemble on the holdout, and the ensembles all of whose backbones have one.

    Returns
    -------
    DataFrame or None
        One row a metric and model, by metric, best backbone first: `model` (backbone, or the ensemble's name),
        `metric`, `score` with its 95 % interval `low` and `high`, which draws whole groups. None without a holdout, or
        before any backbone has all its folds.
    """
    targets = evidence.plan.manifest.targets
    read = {name: read_holdout(evidence.plan, own.finished, evidence.fetch) for name, own in evidence.results.items()}
    tables = {name: table for name, table in read.items() if len(table)}
    if not tables:
        return None
    mixed = {
        own.name: average_backbones(tables, targets, own.weights)
        for own in ensembles
        if set(own.weights) <= set(tables) and len(own.members) > 1
    }
    found = [score for name, table in (tables | mixed).items() for score in evidence.compare({name: table}).scores]
    rows = [(own.model, own.metric, own.value, own.low, own.high) for own in found]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"score": float, "low": float, "high": float})
    return table.sort_values(
        "metric", key=lambda own: own.map(evidence.metrics.index), kind="stable", ignore_index=True
    )

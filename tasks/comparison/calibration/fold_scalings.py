"""How each fold run's probabilities are scaled so that they mean what they say, and predictions with that done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tasks.comparison.evidence import Evidence
from tasks.comparison.pooling import average_probabilities, pool_out_of_fold, predictions_of
from tasks.comparison.results import FoldResult
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import decide
from tasks.evaluation.scaling import Scaling
from tasks.evaluation.scaling_fit import fit_scaling
from tasks.evaluation.tables import PROBABILITY, THRESHOLD

TEST, VALIDATION, HOLDOUT = (f"{part}predictions.parquet" for part in ("", "validation_", "holdout_"))
"""A fold run's tables of predictions."""


def fold_scalings(evidence: Evidence, backbone: str) -> dict[int, Scaling]:
    """Give the scaling of each of a backbone's finished fold runs, by fold, fitted on its validation images.

    A fold run's own test images are never among them. What a model serves with it are `weights` and `biases`, for
    `outputs.scaled`; the scaled probabilities of several fold models are averaged.

    Returns
    -------
    dict of int to Scaling
        Of all finished folds; empty where `comparison.calibration` is `none`, or where a fold run logged no predictions
        of its validation images, as those of older versions.
    """
    method, targets = evidence.plan.experiment.comparison.calibration, evidence.plan.manifest.targets
    if method == "none":
        return {}
    found = {}
    for fold, table in validation_tables(evidence, backbone).items():
        given = predictions_of(table, targets)
        found[fold] = fit_scaling(given.y_true, given.y_prob, targets.kind, method)
    return found


def validation_tables(evidence: Evidence, backbone: str) -> dict[int, pd.DataFrame]:
    """Give what each finished fold run predicts for its validation images, by fold; empty where one did not log it."""
    found = {}
    for fold in evidence.results[backbone].finished:
        table = _read(evidence, fold, VALIDATION)
        if table is None:
            return {}
        found[fold.fold] = table
    return found


def scaled_out_of_fold(evidence: Evidence, backbone: str, scalings: Mapping[int, Scaling]) -> pd.DataFrame:
    """Give a backbone's out-of-fold predictions on `evidence.folds`, each fold's scaled before.

    Parameters
    ----------
    evidence
        What the comparison goes by.
    backbone : str
        Which backbone.
    scalings : mapping of int to Scaling
        As `fold_scalings` gives them; empty: the predictions stay as they are.

    Returns
    -------
    DataFrame
        The rows and columns of `evidence.tables[backbone]`. Decisions are those of the scaled probabilities: only
        vector scaling can change them, or the mean over repeated folds.

    Raises
    ------
    ValueError
        As `pooling.pool_out_of_fold`.
    """
    if not scalings:
        return evidence.tables[backbone]
    plan, folds = evidence.plan, evidence.finished(backbone)
    expected = np.concatenate([plan.rows[fold.fold].test for fold in folds])
    paths = plan.manifest.table["path"].iloc[expected].tolist()
    return pool_out_of_fold(_scaled_tables(evidence, folds, scalings, TEST), plan.manifest.targets, paths)


def scaled_holdout(evidence: Evidence, backbone: str, scalings: Mapping[int, Scaling]) -> pd.DataFrame | None:
    """Give what the ensemble of a backbone's folds predicts for the holdout, each fold's probabilities scaled before.

    None without a holdout, and while a fold is missing. Parameters are as in `scaled_out_of_fold`.
    """
    plan, folds = evidence.plan, evidence.results[backbone].finished
    if len(folds) < plan.n_folds or not len(plan.rows[0].holdout):
        return None
    return average_probabilities(_scaled_tables(evidence, folds, scalings, HOLDOUT), plan.manifest.targets)


def scaled_table(table: pd.DataFrame, scaling: Scaling, targets: Targets) -> pd.DataFrame:
    """Give a table of predictions with scaled probabilities and thresholds, and what is decided by them."""
    names = {part: [part + name for name in targets.classes] for part in (PROBABILITY, THRESHOLD)}
    if targets.kind != "multilabel":
        del names[THRESHOLD]
    values = {part: scaling.apply(table[columns].to_numpy()) for part, columns in names.items()}
    decided = decide(values[PROBABILITY], targets.kind, values.get(THRESHOLD))
    kept = table.drop(columns=[name for columns in names.values() for name in columns])
    kept["predicted"] = pd.Series(targets.texts(decided), table.index, dtype=str)
    # All columns at once: one by one they make a slow frame.
    new = [pd.DataFrame(values[part], table.index, columns) for part, columns in names.items()]
    return pd.concat([kept, *new], axis=1)[table.columns]


def _scaled_tables(
    evidence: Evidence, folds: Sequence[FoldResult], scalings: Mapping[int, Scaling], name: str
) -> list[pd.DataFrame]:
    found = []
    for fold in folds:
        table = pd.read_parquet(evidence.fetch(str(fold.run_id), name))
        scaling = scalings.get(fold.fold)
        found.append(table if scaling is None else scaled_table(table, scaling, evidence.plan.manifest.targets))
    return found


def _read(evidence: Evidence, fold: FoldResult, name: str) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(evidence.fetch(str(fold.run_id), name))
    except FileNotFoundError:
        return None

"""Where one backbone looks over all its folds, and how far its maps can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.dataset.targets import Targets
from tasks.evaluation.tables import PROBABILITY
from tasks.explanation.building import in_colours
from tasks.explanation.edge_looks import EdgeLook, edge_looks
from tasks.explanation.intervals import known_groups
from tasks.explanation.limits import Limits, limits_of
from tasks.explanation.location import location_table
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.mean_maps import MeanMaps, mean_maps, pooled_mean_maps
from tasks.explanation.measures import Verdict, explanation_metrics, groups_of, verdicts
from tasks.explanation.stability import Agreement, agreement
from tasks.workers.plan import Plan


@dataclass(frozen=True, eq=False)
class Looks:
    """Where a backbone looks, by method; each part is empty where its fold runs have logged nothing of it.

    Attributes
    ----------
    truth, location : DataFrame or None
        The fold runs' tables, pooled, with a column `fold`.
    metrics : dict of str to float
        What they come to, by `explain/<method>/<measure>`.
    verdicts : dict of str to Verdict
        How far the maps can be believed.
    means : dict of str to MeanMaps
        Mean maps by class.
    holdout : dict of str to Agreement
        How far the folds' maps agree on images of the holdout.
    where : DataFrame
        `method`, and the columns of `location_table`.
    found : dict of str to tuple of EdgeLook
        Classes at the border or in the corners of whose images it looks.
    limits : dict of str to Limits
        How coarse the maps are, and how many are blank.
    seconds_share : float or None
        The share of the fold runs' time that the measures took, 0 to 1.
    """

    truth: pd.DataFrame | None = None
    location: pd.DataFrame | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    means: Mapping[str, MeanMaps] = field(default_factory=dict)
    holdout: Mapping[str, Agreement] = field(default_factory=dict)
    where: pd.DataFrame = field(default_factory=pd.DataFrame)
    found: Mapping[str, tuple[EdgeLook, ...]] = field(default_factory=dict)
    limits: Mapping[str, Limits] = field(default_factory=dict)
    seconds_share: float | None = None

    @property
    def methods(self) -> list[str]:
        """The methods of which there is anything."""
        located = [] if self.location is None else self.location["method"].unique().tolist()
        return list(dict.fromkeys([*self.means, *located, *self.verdicts, *self.holdout]))


def look(plan: Plan, logged: FoldExplanations, *, seconds_share: float | None = None) -> Looks:
    """Bring together what a backbone's fold runs say of where it looks.

    With repeated folds an image's maps of all repeats are measured, and its map of the first one is looked at.

    Parameters
    ----------
    plan : Plan
        Images and settings.
    logged : FoldExplanations
        What the fold runs have logged.
    seconds_share : float or None
        For the result.
    """
    if not logged.runs or plan.experiment.explanation.max_images == 0:
        return Looks(seconds_share=seconds_share)
    seed, methods = plan.experiment.seed, [str(name) for name in plan.experiment.explanation.methods]
    truth, location = (logged.table(name) for name in ("truth", "location"))
    agreeing = {name: found for name in methods if (found := _across_folds(plan, logged, name)) is not None}
    means = {name: own for name in methods if (own := _mean_maps(plan.manifest.targets, logged, name)) is not None}
    grouped = _grouped(truth)
    metrics = explanation_metrics(grouped, _grouped(location), intervals=True, seed=seed)
    metrics |= {f"explain/{name}/holdout_agreement": found.mean.mean for name, found in agreeing.items()}
    by_method = {} if location is None else dict(list(location.groupby("method", sort=False)))
    first = {str(name): part.drop_duplicates("path") for name, part in by_method.items()}
    return Looks(
        truth=truth,
        location=location,
        metrics={name: value for name, value in metrics.items() if np.isfinite(value)},
        verdicts={} if grouped is None else verdicts(grouped, location, seed=seed),
        means=means,
        holdout=agreeing,
        where=_where(plan.manifest.targets, first, seed),
        found={name: tuple(_found(plan.manifest.targets, part, seed)) for name, part in first.items()},
        limits=limits_of(location),
        seconds_share=seconds_share,
    )


def right_of(targets: Targets, predictions: pd.DataFrame, classes: np.ndarray) -> np.ndarray:
    """Tell whether predictions are right; with several labels an image, whether that of the class explained is.

    Parameters
    ----------
    targets
        The kind of labels.
    predictions : DataFrame of n rows
        With `true` and `predicted`.
    classes : ndarray of shape (n,), int
        The class that each map is for.
    """
    true, predicted = (targets.numbers(predictions[name].tolist()) for name in ("true", "predicted"))
    if targets.kind != "multilabel":
        return np.asarray(true == predicted)
    rows = np.arange(len(classes))
    return np.asarray(true[rows, classes] == predicted[rows, classes])


def told_probabilities(targets: Targets, predictions: pd.DataFrame, explained: np.ndarray) -> np.ndarray:
    """Give the probability of what is predicted, 0 to 1; with several labels an image, of the one that is explained.

    Parameters
    ----------
    targets
        The kind of labels.
    predictions : DataFrame of n rows
        With `predicted` and the classes' probabilities.
    explained : ndarray of shape (n,), int
        The class that each map is for.
    """
    several = targets.kind == "multilabel"
    numbers = explained if several else targets.numbers(predictions["predicted"].tolist())
    columns = [PROBABILITY + label for label in targets.classes]
    probabilities = predictions[columns].to_numpy(dtype=np.float64)[np.arange(len(numbers)), numbers]
    return np.asarray(np.clip(probabilities, 0, 1))


def heats_of(stored: StoredMaps) -> np.ndarray:
    """Give stored maps as they are shown, of shape (n, h, w), 0 to 1."""
    return in_colours(stored.method, stored.maps)


def _grouped(table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Give the table with every row's group, so that the rows of one image are never taken for independent."""
    if table is None:
        return None
    groups = table["group"] if groups_of(table) is not None else table["path"]
    return table.assign(group=groups.to_numpy(dtype=object))


def _mean_maps(targets: Targets, logged: FoldExplanations, method: str) -> MeanMaps | None:
    parts = []
    for fold in logged.runs:
        stored = logged.first_maps(fold, method)
        if stored is None:
            continue
        told = logged.predictions.loc[stored.paths]
        several = targets.kind == "multilabel"
        classes = stored.classes if several else targets.numbers(told["true"].tolist())
        right = right_of(targets, told, stored.classes)
        parts.append(mean_maps(heats_of(stored), classes, right, len(targets.classes)))
    return pooled_mean_maps(parts) if parts else None


def _across_folds(plan: Plan, logged: FoldExplanations, method: str) -> Agreement | None:
    """Give how far the folds agree on the holdout's images; None with fewer than two that explain the same ones."""
    stored = {fold: found for fold in logged.runs if (found := logged.maps(fold, method, holdout=True)) is not None}
    first = next((own for own in stored.values() if len(own.paths)), None)
    if first is None:
        return None
    same = {
        f"fold {fold}": own.maps
        for fold, own in stored.items()
        if np.array_equal(own.paths, first.paths) and np.array_equal(own.classes, first.classes)
    }
    if len(same) < 2:
        return None
    groups = plan.manifest.table.set_index("path")["group"].reindex(first.paths)
    return agreement(same, groups=known_groups(groups), seed=plan.experiment.seed)


def _classes_of(targets: Targets, location: pd.DataFrame) -> np.ndarray:
    """Give the class that each row counts for: the true one, or with several labels the one that is explained."""
    return location["label" if targets.kind == "multilabel" else "true"].to_numpy(dtype=object)


def _where(targets: Targets, by_method: Mapping[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    tables = []
    for method, part in by_method.items():
        labels, right = _classes_of(targets, part), part["right"].to_numpy(dtype=bool)
        table = location_table(part, labels, right, groups=groups_of(part), seed=seed)
        table.insert(0, "method", method)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _found(targets: Targets, location: pd.DataFrame, seed: int) -> list[EdgeLook]:
    labels, paths = _classes_of(targets, location), location["path"].tolist()
    return list(edge_looks(location, labels, paths, groups=groups_of(location), seed=seed))

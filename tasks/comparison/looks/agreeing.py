"""How far backbones agree on where to look in the same image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.explanation.intervals import Interval, known_groups, mean_interval
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.stability import rank_correlation

_COLUMNS = ("method", "first", "second", "mean", "low", "high", "n_images")


@dataclass(frozen=True, eq=False)
class BackboneAgreement:
    """Agreement between backbones, as rank correlations of their maps, -1 to 1.

    Attributes
    ----------
    pairs : DataFrame
        One row a method and pair: `method`, `first`, `second`, `mean`, `low`, `high` (95 %, over the images),
        `n_images` (that both explain for the same class).
    of_each : mapping of (str, str) to Interval
        By backbone and method, the mean with all other backbones.
    """

    pairs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(_COLUMNS)))
    of_each: Mapping[tuple[str, str], Interval] = field(default_factory=dict)


def between_backbones(
    logged: Mapping[str, FoldExplanations], methods: Sequence[str], groups: pd.Series, *, seed: int = 0
) -> BackboneAgreement:
    """Compare backbones' maps of the same images, where they are for the same class.

    Each image's maps are those of the models that never saw it; with repeated folds, of the first repeat.

    Parameters
    ----------
    logged : mapping of str to FoldExplanations
        By backbone.
    methods : sequence of str
        Methods of explanation.
    groups : Series of str or None, by path
        What images belong together, for the intervals.
    seed : int
        For the intervals.
    """
    rows, of_each = [], {}
    for method in methods:
        values = _values(logged, method)
        for first, second in combinations(logged, 2):
            found = values[(values["first"] == first) & (values["second"] == second)]
            if len(found):
                own = _interval(found, groups, seed)
                rows.append((method, first, second, own.mean, own.low, own.high, len(found)))
        for name in logged:
            own_values = values[(values["first"] == name) | (values["second"] == name)]
            if len(own_values):
                by_image = own_values.groupby("path", sort=True)["value"].mean().reset_index()
                of_each[name, method] = _interval(by_image, groups, seed)
    return BackboneAgreement(pd.DataFrame(rows, columns=list(_COLUMNS)), of_each)


def _values(logged: Mapping[str, FoldExplanations], method: str) -> pd.DataFrame:
    """Give `path`, `first`, `second`, `value`: one row an image and pair; two maps that show nothing have none."""
    folds = sorted({fold for own in logged.values() for fold in own.runs})
    parts = [pd.DataFrame(columns=["path", "first", "second", "value"])]
    for fold in folds:
        maps = {name: own.first_maps(fold, method) for name, own in logged.items() if fold in own.runs}
        there = {name: stored for name, stored in maps.items() if stored is not None}
        for (first, one), (second, other) in combinations(there.items(), 2):
            paths, value = _correlations(one, other)
            known = ~np.isnan(value)
            found = {"path": paths[known], "first": first, "second": second, "value": value[known]}
            parts.append(pd.DataFrame(found))
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def _correlations(one: StoredMaps, other: StoredMaps) -> tuple[np.ndarray, np.ndarray]:
    places = other.places(one.paths)
    both = places >= 0
    both[both] = one.classes[both] == other.classes[places[both]]
    return one.paths[both], rank_correlation(one.maps[both], other.maps[places[both]])


def _interval(values: pd.DataFrame, groups: pd.Series, seed: int) -> Interval:
    known = known_groups(groups.reindex(values["path"]))
    return mean_interval(values["value"].to_numpy(dtype=np.float64), known, seed=seed)

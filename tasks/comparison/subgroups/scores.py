"""How well a backbone does in subgroups of the images, such as sites, cameras or sexes, and how it does elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.statistics.bootstrap import drawn_groups, expanded_interval
from tasks.comparison.statistics.multiple import holm
from tasks.comparison.statistics.units import Array, Scorer, batches
from tasks.comparison.statistics.weighted import weighted_metric
from tasks.comparison.subgroups.values import MOST_VALUES
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions
from tasks.explanation.intervals import LEAST_GROUPS, LEVEL

COLUMNS = (
    *("column", "value", "n_images", "n_groups", "metric", "score", "low", "high"),
    *("others", "gap", "gap_low", "gap_high", "p", "p_holm"),
)
"""The columns of the table of subgroups."""

DRAWS = 2000
"""The number of draws for an interval, and the least number of permutations for a test."""

_PERMUTATIONS_A_TEST = 200
_ROUNDING = 1e-12

_Weights = Callable[[NDArray[np.bool_]], Array]
"""From the units on a side to how often each unit counts there, of shape (n_draws, n_units)."""


@dataclass(frozen=True)
class _Units:
    """The images of which a column says something, in units that lie in one group and one subgroup."""

    rows: NDArray[np.int64]
    of_image: NDArray[np.int64]
    """The unit of each of `rows`."""
    group: NDArray[np.int64]
    """The group of each unit, numbered from 0 on."""
    value: NDArray[np.object_]
    """The subgroup of each unit."""

    def sides(self, value: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which units are in a subgroup, and which are not."""
        return self.value == value, self.value != value

    def n_groups(self, side: NDArray[np.bool_]) -> int:
        """Return how many groups have a unit on a side."""
        return len(set(self.group[side].tolist()))


def subgroup_scores(
    predictions: Predictions,
    targets: Targets,
    columns: Mapping[str, NDArray[np.object_]],
    metrics: Sequence[str],
    groups: NDArray[np.object_] | None = None,
    *,
    seed: int = 0,
    tested: bool = True,
) -> pd.DataFrame:
    """Give metrics in each subgroup, and how far they are from those of the other images.

    Intervals are the bootstrap's, which draws whole groups (see `expanded_interval`). A gap is tested by permutation:
    what lies in one group and one subgroup is moved as a whole between the subgroups. All p values are corrected
    together (Holm, 1979); the two of a column with two values count as one, since they are one. Metrics that are means
    over classes are over the classes of the images in question, so a gap can also come from another mix of classes.

    Parameters
    ----------
    predictions
        Out-of-fold labels, probabilities and decisions, as `pooling.predictions_of` gives them.
    targets
        The kind of labels and the classes.
    columns : mapping of str to ndarray of shape (n_images,)
        By name, each image's subgroup as `subgroup_values` gives it; images with None are left out there.
    metrics
        Names as in `evaluation.metrics.score`.
    groups : ndarray of shape (n_images,) or None
        The group of each image, such as the patient; None: each image is a group of its own.
    seed
        The same seed gives the same figures.
    tested
        Whether gaps are tested; without it there are no p values, and it is the faster for that.

    Returns
    -------
    DataFrame
        One row a column, subgroup and metric: `column`, `value`, `n_images`, `n_groups`, `metric`, `score` with its
        95 % interval `low` and `high`, the score of the `others`, `gap` (score less others) with `gap_low` and
        `gap_high`, `p` of no gap, and `p_holm`. With fewer than `intervals.LEAST_GROUPS` groups in a subgroup its
        score has no interval, and with fewer in it or outside it there is no gap: NaN. Of a column with more than
        `subgroup_values.MOST_VALUES` subgroups the commonest are told. A column with one subgroup has no row.

    Raises
    ------
    InputError
        If there is no such metric.
    ValueError
        If labels of this kind do not have a metric.
    """
    units = {name: _units(values, groups) for name, values in columns.items()}
    told = {name: _told(own, columns[name]) for name, own in units.items()}
    n_tests = sum(len(values) for values in told.values()) * len(metrics)
    rows: list[dict[str, object]] = []
    for number, (name, own) in enumerate(units.items()):
        y_true, y_prob, y_pred = predictions
        there = Predictions(y_true[own.rows], y_prob[own.rows], y_pred[own.rows])
        scorers = {metric: weighted_metric(metric, there, own.of_image, targets) for metric in metrics if told[name]}
        random = np.random.default_rng([seed, number])
        permutations = max(DRAWS, _PERMUTATIONS_A_TEST * n_tests) if tested else 0
        rows += [{"column": name, **row} for row in _rows(own, told[name], scorers, permutations, random)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.assign(p_holm=_corrected(table, [name for name, own in units.items() if len(set(own.value)) == 2]))


def _units(values: NDArray[np.object_], groups: NDArray[np.object_] | None) -> _Units:
    rows = np.flatnonzero(np.array([value is not None for value in values], dtype=bool))
    own = rows if groups is None else pd.factorize(np.asarray(groups, dtype=object)[rows], use_na_sentinel=False)[0]
    names, of_value = np.unique(values[rows].astype(str), return_inverse=True)
    pairs, of_image = np.unique(np.stack([own, of_value], axis=1), axis=0, return_inverse=True)
    group = np.unique(pairs[:, 0], return_inverse=True)[1]
    return _Units(rows, of_image.reshape(-1), group.reshape(-1), names[pairs[:, 1]].astype(object))


def _told(units: _Units, values: NDArray[np.object_]) -> list[str]:
    """Return the subgroups that get rows: the commonest ones, sorted; none if there is one only."""
    counts = Counter(str(value) for value in values[units.rows])
    return sorted(value for value, _ in counts.most_common(MOST_VALUES)) if len(counts) > 1 else []


def _rows(
    units: _Units,
    values: Sequence[str],
    scorers: Mapping[str, Scorer],
    permutations: int,
    random: np.random.Generator,
) -> Iterator[dict[str, object]]:
    """Yield a row a subgroup and metric; all subgroups of a column see the same draws and the same permutations."""
    sizes = {value: [units.n_groups(side) for side in units.sides(value)] for value in values}
    some = [value for value in values if sizes[value][0] >= LEAST_GROUPS]
    enough = [value for value in some if sizes[value][1] >= LEAST_GROUPS]
    drawn = _scores(units, some, scorers, DRAWS, lambda size: _draw(units, size, random))
    moved = _scores(units, enough, scorers, permutations, lambda size: _move(units, size, random))
    n_images = np.bincount(units.of_image)
    for value in values:
        inside = units.sides(value)[0]
        facts = {"value": value, "n_images": int(n_images[inside].sum()), "n_groups": sizes[value][0]}
        for metric, scorer in scorers.items():
            score, others = (float(scorer(side[None].astype(np.float64))[0]) for side in units.sides(value))
            row = {**facts, "metric": metric, "score": score, "others": others}
            gap = score - others
            if value in some and not np.isnan(score):
                row["low"], row["high"] = expanded_interval(drawn[value, metric][0], sizes[value][0], LEVEL)
            if value in enough and not np.isnan(gap):
                own, rest = drawn[value, metric]
                row |= {"gap": gap, "p": _chance(gap, moved[value, metric]) if permutations else np.nan}
                row["gap_low"], row["gap_high"] = expanded_interval(own - rest, min(sizes[value]), LEVEL)
            yield row


def _draw(units: _Units, size: int, random: np.random.Generator) -> _Weights:
    often = drawn_groups(int(units.group.max()) + 1, size, random)[:, units.group]
    return lambda side: often * side


def _move(units: _Units, size: int, random: np.random.Generator) -> _Weights:
    places = random.permuted(np.tile(np.arange(len(units.value)), (size, 1)), axis=1)
    return lambda side: side[places].astype(np.float64)


def _scores(
    units: _Units,
    values: Sequence[str],
    scorers: Mapping[str, Scorer],
    number: int,
    weights: Callable[[int], _Weights],
) -> dict[tuple[str, str], Array]:
    """Return the scores inside and outside each subgroup by each metric, of shape (2, number)."""
    found = {(value, metric): np.empty((2, number)) for value in values for metric in scorers}
    for part in batches(number if values else 0, len(units.of_image)):
        of_side = weights(part.stop - part.start)
        for value in values:
            for place, side in enumerate(units.sides(value)):
                own = of_side(side)
                for metric, scorer in scorers.items():
                    found[value, metric][place, part] = scorer(own)
    return found


def _chance(gap: float, scores: Array) -> float:
    """Return how likely a gap as large as this is by chance; an undefined gap counts as one that is as large."""
    gaps = scores[0] - scores[1]
    smaller = np.abs(gaps) < abs(gap) - _ROUNDING
    return float((1 + (~smaller).sum()) / (1 + len(gaps)))


def _corrected(table: pd.DataFrame, one_test: Sequence[str]) -> pd.Series[float]:
    """Return the p values corrected for their number; those of a column in `one_test` are one for each metric."""
    keys = ["column", "metric", "test"]
    named = table.assign(test=table["value"].where(~table["column"].isin(one_test), ""))
    p = named.groupby(keys)["p"].first()
    raised = pd.Series(holm(p.to_numpy(dtype=np.float64)), p.index, name="adjusted")
    return named.join(raised, on=keys)["adjusted"]

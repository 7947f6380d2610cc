"""Models compared two by two on the same images: differences with intervals, and tests that know groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tasks.comparison.statistics.bootstrap import N_DRAWS, bootstrap_scores, expanded_interval, standard_error
from tasks.comparison.statistics.multiple import holm
from tasks.comparison.statistics.pairing import PairedPredictions
from tasks.comparison.statistics.permutation import both_models, swap_test
from tasks.comparison.statistics.units import Array
from tasks.comparison.statistics.weighted import RowMetric, larger_is_better, metric_name, weighted_metric
from tasks.evaluation.resampling import LEVEL

LEAST_GROUPS = 20
"""From how many groups on a difference is tested; with fewer there is an interval and no claim."""


@dataclass(frozen=True)
class ModelScore:
    """A metric of one model over all images.

    Attributes
    ----------
    model, metric
        What was scored.
    value
        None where the metric is undefined.
    low, high
        Ends of the cluster bootstrap's interval; None with fewer than two groups, and where no draw changes the value,
        such as where all images are right: that leaves doubt of which draws know nothing.
    """

    model: str
    metric: str
    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        """Give the fields as a dictionary of plain numbers and None, without NaN."""
        return asdict(self)


@dataclass(frozen=True)
class PairedDifference:
    """The first model's value of a metric less the second's, on the same images.

    Attributes
    ----------
    metric, first, second
        What was compared.
    higher_is_better
        Whether a larger value of the metric is a better one.
    difference
        None where the metric is undefined.
    low, high
        Ends of the cluster bootstrap's interval; None with fewer than two groups.
    standard_error
        Of the difference, over draws of groups; None with fewer than two groups.
    p, p_holm
        The sign-flip test's p-value, as it is and adjusted for all pairs in this metric; None with fewer than
        `LEAST_GROUPS` groups.
    """

    metric: str
    first: str
    second: str
    higher_is_better: bool
    difference: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    p: float | None
    p_holm: float | None

    def better(self, alpha: float = 1 - LEVEL) -> str | None:
        """Give the model that is better beyond chance at the level `alpha`; None where that cannot be told."""
        if self.p_holm is None or self.difference is None or self.p_holm > alpha:
            return None
        return self.first if (self.difference > 0) == self.higher_is_better else self.second

    def to_json(self) -> dict[str, Any]:
        """Give the fields as a dictionary of plain numbers and None, without NaN."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """Several models on the same images.

    Attributes
    ----------
    scores : tuple of ModelScore
        One a metric and model.
    differences : tuple of PairedDifference
        One a metric and pair of models.
    n_images, n_groups
        What they stand on.
    """

    scores: tuple[ModelScore, ...]
    differences: tuple[PairedDifference, ...]
    n_images: int
    n_groups: int

    @property
    def caution(self) -> str | None:
        """Why nothing is claimed; None where there are groups enough."""
        if self.n_groups >= LEAST_GROUPS:
            return None
        groups = "1 group" if self.n_groups == 1 else f"{self.n_groups} groups"
        return (
            f"The images come from {groups}, and fewer than {LEAST_GROUPS} cannot carry a claim: intervals show how "
            "far the differences spread, and no difference is tested."
        )

    def told_apart(self, metric: str, alpha: float = 1 - LEVEL) -> set[frozenset[str]]:
        """Give the pairs of models that differ in `metric` beyond chance at the level `alpha`."""
        own = (found for found in self.differences if found.metric == metric)
        return {frozenset((found.first, found.second)) for found in own if found.better(alpha) is not None}


def compare_models(
    given: PairedPredictions,
    metrics: Sequence[str | RowMetric],
    *,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare all pairs of models in all metrics.

    Intervals are the cluster bootstrap's (`expanded_interval`), the same draws of groups for all models. With
    `LEAST_GROUPS` groups or more each difference is tested by swapping whole groups (`swap_test`), and the p-values are
    adjusted for all pairs (`holm`), for each metric by itself.

    Parameters
    ----------
    given : PairedPredictions
        What the models say of the same images.
    metrics : sequence of str or RowMetric
        As in `weighted_metric`.
    level : float
        The confidence level of intervals, 0 to 1.
    n_draws : int
        Number of draws for the intervals, and for each test.
    seed : int
        The same seed gives the same figures.

    Raises
    ------
    InputError, ValueError
        As `weighted_metric`.
    """
    by_name = {metric_name(metric): metric for metric in metrics}
    drawn = {name: _drawn(given, metric, n_draws, seed) for name, metric in by_name.items()}
    pairs, tested = list(combinations(given.models, 2)), _p_values(given, metrics, n_draws, seed)
    differences = []
    for name, metric in by_name.items():
        p = np.array([tested.get((name, *pair), np.nan) for pair in pairs])
        for (first, second), *chances in zip(pairs, p, holm(p), strict=True):
            values = drawn[name][first] - drawn[name][second]
            error = standard_error(values[1:], given.n_groups)
            figures = (*_with_interval(values, given.n_groups, level), *map(_plain, (error, *chances)))
            differences.append(PairedDifference(name, first, second, larger_is_better(metric), *figures))
    scores = [
        ModelScore(model, name, *_with_interval(own if _spread(own) else own[:1], given.n_groups, level))
        for name, by_model in drawn.items()
        for model, own in by_model.items()
    ]
    return Comparison(tuple(scores), tuple(differences), given.n_images, given.n_groups)


def _spread(values: Array) -> bool:
    """Whether the draws of what `_drawn` gives differ."""
    known = values[1:][~np.isnan(values[1:])]
    return bool(len(known) and np.ptp(known) > 0)


def _with_interval(values: Array, n_groups: int, level: float) -> tuple[float | None, float | None, float | None]:
    """Give a figure and the ends of its interval from what `_drawn` gives."""
    low, high = expanded_interval(values[1:], n_groups, level)
    return _plain(values[0]), _plain(low), _plain(high)


def _drawn(given: PairedPredictions, metric: str | RowMetric, n_draws: int, seed: int) -> dict[str, Array]:
    """Give each model's score on the images as they are, and then on each draw, of shape (1 + n_draws,)."""
    scorers = [weighted_metric(metric, own, given.groups, given.targets) for own in given.models.values()]
    draws = bootstrap_scores(scorers, given.groups, n_draws=n_draws, seed=seed)
    once = np.ones((1, given.n_groups))
    columns = zip(given.models, scorers, draws.T, strict=True)
    return {name: np.concatenate([scorer(once), column]) for name, scorer, column in columns}


def _p_values(
    given: PairedPredictions, metrics: Sequence[str | RowMetric], n_draws: int, seed: int
) -> dict[tuple[str, str, str], float]:
    if given.n_groups < LEAST_GROUPS:
        return {}
    found = {}
    for first, second in combinations(given.models, 2):
        both, units = both_models(given.models[first], given.models[second], given.groups)
        scorers = [weighted_metric(metric, both, units, given.targets) for metric in metrics]
        for metric, p in zip(metrics, swap_test(scorers, given.groups, n_draws=n_draws, seed=seed), strict=True):
            found[metric_name(metric), first, second] = float(p)
    return found


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

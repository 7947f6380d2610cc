"""How backbones stand to each other in the metrics that were chosen: scores, differences, tests, letters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from tasks.comparison.statistics.bayesian import Belief, correlated_t
from tasks.comparison.statistics.letters import compact_letters
from tasks.comparison.statistics.mcnemar import McNemar, mcnemar
from tasks.comparison.statistics.paired import LEAST_GROUPS, Comparison, ModelScore, PairedDifference
from tasks.comparison.statistics.pairing import PairedPredictions
from tasks.comparison.statistics.power import more_groups
from tasks.comparison.statistics.resampled_t import FoldDifference, fold_difference
from tasks.evaluation.names import higher_is_better
from tasks.evaluation.outputs import right


@dataclass(frozen=True)
class FoldValues:
    """What backbones reach on each of the same folds.

    Attributes
    ----------
    values : mapping of str to mapping of str to sequence of float or None
        By backbone and metric, a value a fold; None where there is none.
    n_train, n_test : sequence of int
        Number of training and of test images of each fold.
    """

    values: Mapping[str, Mapping[str, Sequence[float | None]]]
    n_train: Sequence[int]
    n_test: Sequence[int]


@dataclass(frozen=True)
class OverFolds:
    """How two backbones differ over folds, the first less the second, and how likely the first is the better one."""

    metric: str
    first: str
    second: str
    found: FoldDifference
    belief: Belief


@dataclass(frozen=True, eq=False)
class Standings:
    """How backbones stand to each other.

    Attributes
    ----------
    metric : str
        What they are ordered by.
    metrics : tuple of str
        What they are compared in; `metric` first.
    compared : Comparison
        Scores and differences on pooled out-of-fold predictions.
    order : tuple of str
        The backbones, best first by `metric` on pooled predictions; those without a value last.
    rope : float
        Differences over folds below it count as none.
    over_folds : tuple of OverFolds
        A metric and pair of backbones each, the better-placed backbone first; empty where that was not asked for.
    by_image : mapping of (str, str) to McNemar
        By pair, the better-placed backbone first; empty unless each image is a group of its own.
    """

    metric: str
    metrics: tuple[str, ...]
    compared: Comparison
    order: tuple[str, ...]
    rope: float = 0.0
    over_folds: tuple[OverFolds, ...] = ()
    by_image: Mapping[tuple[str, str], McNemar] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of backbones, the better-placed first."""
        return list(combinations(self.order, 2))

    @property
    def tested(self) -> bool:
        """Whether differences are tested, and not only shown with their intervals."""
        return len(self.order) > 1 and self.compared.caution is None

    @property
    def unit(self) -> str:
        """What is drawn and swapped as a whole: `group`, or `image` where each image is a group of its own."""
        return "image" if self.compared.n_groups == self.compared.n_images else "group"

    @property
    def letters(self) -> dict[str, str]:
        """By backbone, its letters: those that share one cannot be told apart; empty where nothing is tested."""
        if not self.tested:
            return {}
        known = [name for name in self.order if self.score(name).value is not None]
        return compact_letters(known, self.compared.told_apart(self.metric))

    @property
    def more_groups(self) -> int | None:
        """About how many groups more a single test needs to tell the first two apart; None where that is unknown."""
        if len(self.order) < 2:
            return None
        found = self.difference(*self.order[:2])
        if found.difference is None or found.standard_error is None:
            return None
        return more_groups(found.difference, found.standard_error, self.compared.n_groups)

    def score(self, name: str, metric: str | None = None) -> ModelScore:
        """Give a backbone's score in a metric; by default the one that orders."""
        wanted = metric or self.metric
        return next(own for own in self.compared.scores if (own.model, own.metric) == (name, wanted))

    def difference(self, first: str, second: str, metric: str | None = None) -> PairedDifference:
        """Give the first backbone's value less the second's."""
        wanted, pair = metric or self.metric, {first, second}
        found = next(d for d in self.compared.differences if d.metric == wanted and {d.first, d.second} == pair)
        return found if found.first == first else turned(found)

    def lead(self, first: str, second: str, metric: str | None = None) -> PairedDifference:
        """Give by how much the first backbone is better than the second, whichever way the metric runs."""
        found = self.difference(first, second, metric)
        return found if found.higher_is_better else replace(_negative(found), higher_is_better=True)


def stand(
    given: PairedPredictions,
    compared: Comparison,
    metrics: Sequence[str],
    *,
    folds: FoldValues | None = None,
    rope: float = 0.0,
) -> Standings:
    """Give how backbones stand to each other.

    Parameters
    ----------
    given : PairedPredictions
        Their predictions for the same images; of equally good ones the one that comes first stays so.
    compared : Comparison
        What `compare_models` makes of them in `metrics`.
    metrics : sequence of str
        What they are compared in; the first one orders them.
    folds : FoldValues or None
        What they reach on each fold; None: they are not compared fold by fold.
    rope : float
        Half the width of the region of practical equivalence.
    """
    values = {own.model: own.value for own in compared.scores if own.metric == metrics[0]}
    sign = -1.0 if higher_is_better(metrics[0]) else 1.0

    def place(name: str) -> float:
        value = values[name]
        return math.inf if value is None else sign * value

    order = tuple(sorted(given.models, key=place))
    over_folds = () if folds is None else tuple(_over_folds(order, metrics, folds, rope))
    return Standings(metrics[0], tuple(metrics), compared, order, rope, over_folds, _by_image(given, order))


def turned(found: PairedDifference) -> PairedDifference:
    """Give a difference the other way round: the second less the first."""
    return replace(_negative(found), first=found.second, second=found.first)


def _negative(found: PairedDifference) -> PairedDifference:
    difference, low, high = (None if v is None else 0.0 - v for v in (found.difference, found.high, found.low))
    return replace(found, difference=difference, low=low, high=high)


def _over_folds(order: Sequence[str], metrics: Sequence[str], folds: FoldValues, rope: float) -> list[OverFolds]:
    told = []
    for metric in metrics:
        for first, second in combinations(order, 2):
            one, other = (folds.values[name].get(metric, [None] * len(folds.n_test)) for name in (first, second))
            found = fold_difference(one, other, n_train=folds.n_train, n_test=folds.n_test)
            if found is not None:
                belief = correlated_t(found, higher_is_better=higher_is_better(metric), rope=rope)
                told.append(OverFolds(metric, first, second, found, belief))
    return told


def _by_image(given: PairedPredictions, order: Sequence[str]) -> dict[tuple[str, str], McNemar]:
    if given.n_groups != given.n_images or given.n_groups < LEAST_GROUPS:
        return {}
    good = {name: right(own.y_true, own.y_pred) for name, own in given.models.items()}
    return {(one, other): mcnemar(good[one], good[other], given.groups) for one, other in combinations(order, 2)}

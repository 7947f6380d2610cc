"""How often tests find a difference between two models that have none: `python -m tests.support.level [RUNS]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.comparison.statistics.bootstrap import bootstrap_scores, expanded_interval
from tasks.comparison.statistics.mcnemar import mcnemar
from tasks.comparison.statistics.permutation import both_models, swap_test
from tasks.comparison.statistics.weighted import weighted_metric
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions, checked_predictions

TARGETS = Targets(("no", "yes"))
METRICS = ("accuracy", "roc_auc", "log_loss")
N_GROUPS, GROUP_SIZE, ALPHA = 26, 8, 0.05
RUNS, DRAWS = 2000, 500


def models(
    rng: np.random.Generator, groups: NDArray[np.int64], *, gap: float = 0.0, apart: float = 1.0
) -> list[Predictions]:
    """Draw two models' predictions; a group is hard or easy for both (1), and for each by its own (`apart`)."""
    n_groups, truth = groups.max() + 1, rng.integers(0, 2, len(groups))
    hard = rng.normal(size=n_groups)
    found = []
    for shift in (gap, 0.0):
        own = apart * rng.normal(size=n_groups)
        margin = 0.8 + shift + hard[groups] + own[groups] + rng.normal(size=len(groups))
        of_truth = 1 / (1 + np.exp(-margin))
        y_prob = np.where(truth[:, None] == [0, 1], of_truth[:, None], 1 - of_truth[:, None])
        found.append(checked_predictions(truth, y_prob, 2))
    return found


def rates(n_runs: int = RUNS, *, seed: int = 0) -> Mapping[str, float]:
    """Give by test in which share of data sets without a difference it finds one at the 5 % level."""
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(N_GROUPS), GROUP_SIZE)
    found = dict.fromkeys((*METRICS, "interval", "exact", "mid"), 0)
    for run in range(n_runs):
        first, second = models(rng, groups)
        both, units = both_models(first, second, groups)
        p_values = swap_test(
            [weighted_metric(own, both, units, TARGETS) for own in METRICS], groups, n_draws=DRAWS, seed=run
        )
        scorers = [weighted_metric("accuracy", own, groups, TARGETS) for own in (first, second)]
        draws = bootstrap_scores(scorers, groups, n_draws=DRAWS, seed=run)
        low, high = expanded_interval(draws[:, 0] - draws[:, 1], N_GROUPS, 1 - ALPHA)
        right = [own.y_true == own.y_pred for own in (first, second)]
        by_image = mcnemar(right[0], right[1], np.arange(len(groups)))
        rejected = {name: bool(p <= ALPHA) for name, p in zip(METRICS, p_values, strict=True)}
        rejected["interval"] = not low <= 0 <= high
        rejected |= {"exact": by_image.exact <= ALPHA, "mid": by_image.mid <= ALPHA}
        found = {name: number + rejected[name] for name, number in found.items()}
    return {name: number / n_runs for name, number in found.items()}


if __name__ == "__main__":
    for test, rate in rates(int(sys.argv[1]) if sys.argv[1:] else RUNS).items():
        sys.stdout.write(f"{test:10} {100 * rate:5.1f} %\n")

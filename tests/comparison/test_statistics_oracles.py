"""The tests of differences against other packages: baycomp, mlxtend and statsmodels."""

from __future__ import annotations

import baycomp
import numpy as np
import pytest
from mlxtend.evaluate import mcnemar as mlxtend_mcnemar
from mlxtend.evaluate import mcnemar_table
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from tasks.comparison.statistics.bayesian import correlated_t
from tasks.comparison.statistics.mcnemar import mcnemar
from tasks.comparison.statistics.multiple import holm
from tasks.comparison.statistics.power import groups_needed, power_of_t
from tasks.comparison.statistics.resampled_t import fold_difference

SEEDS = range(8)


@pytest.mark.parametrize("n_repeats", [1, 3])
@pytest.mark.parametrize("rope", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("seed", SEEDS)
def test_beliefs_are_baycomps_for_folds_of_one_size(seed, rope, n_repeats):
    rng, n_splits = np.random.default_rng(seed), 5
    second = 0.8 + 0.05 * rng.standard_normal(n_splits * n_repeats)
    first = second + 0.02 + 0.03 * rng.standard_normal(len(second))
    sizes = {"n_train": [80] * len(first), "n_test": [20] * len(first)}
    own = correlated_t(fold_difference(first.tolist(), second.tolist(), **sizes), rope=rope)
    theirs = baycomp.two_on_single(first, second, rope=rope, runs=n_repeats)
    # baycomp names them left to right, so the first number is that the first classifier has the smaller value.
    left, *middle, right = theirs
    assert (own.better, own.worse) == pytest.approx((left, right), abs=1e-9)
    assert own.equivalent == pytest.approx(middle[0] if middle else 0, abs=1e-9)
    turned = correlated_t(fold_difference(first.tolist(), second.tolist(), **sizes), rope=rope, higher_is_better=False)
    assert (turned.better, turned.worse) == pytest.approx((own.worse, own.better))


@pytest.mark.parametrize("seed", SEEDS)
def test_holms_adjustment_is_statsmodels(seed):
    p = np.random.default_rng(seed).beta(0.4, 2, size=10)
    reject, adjusted, *_ = multipletests(p, alpha=0.05, method="holm")
    np.testing.assert_allclose(holm(p), adjusted)
    np.testing.assert_array_equal(holm(p) <= 0.05, reject)


@pytest.mark.parametrize("seed", SEEDS)
def test_mcnemars_exact_p_value_is_that_of_mlxtend_and_statsmodels(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 60)
    first, second = (np.where(rng.random(60) < share, truth, 1 - truth) for share in (0.85, 0.7))
    table = mcnemar_table(truth, first, second)
    own = mcnemar(first == truth, second == truth, np.arange(60))
    assert own.exact == pytest.approx(mlxtend_mcnemar(table, exact=True)[1])
    assert own.exact == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
    assert (own.only_first, own.only_second) == (table[0, 1], table[1, 0])


@pytest.mark.parametrize("effect", [0.2, 0.5, 0.8, 1.5])
@pytest.mark.parametrize("n", [5, 26, 100])
def test_the_power_of_the_paired_t_test_is_statsmodels(effect, n):
    theirs = float(TTestPower().power(effect, n, 0.05))
    assert power_of_t(effect, n) == pytest.approx(1 if np.isnan(theirs) else theirs, abs=1e-6)
    needed = groups_needed(effect, 1 / np.sqrt(n), n)
    exact = TTestPower().solve_power(effect, power=0.8, alpha=0.05)
    assert needed == int(np.ceil(exact))

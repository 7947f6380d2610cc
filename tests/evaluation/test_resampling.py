from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta, binomtest, t

from tasks.evaluation.resampling import group_draws, percentiles, share


@pytest.mark.parametrize(("hits", "n"), [(0, 12), (3, 12), (11, 12), (12, 12), (40, 200)])
def test_without_groups_the_interval_of_a_share_is_that_of_clopper_and_pearson(hits, n):
    exact = binomtest(hits, n).proportion_ci(method="exact")
    found = share(np.arange(n) < hits, np.arange(n))
    assert found == pytest.approx((hits / n, exact.low, exact.high), abs=1e-9)


def test_images_that_are_copies_within_groups_count_once_a_group():
    counted, groups = np.arange(30) < 9, np.arange(30)
    copies = share(np.repeat(counted, 8), np.repeat(groups, 8))
    once = share(counted, groups)
    assert copies.value == once.value
    assert copies.high - copies.low == pytest.approx(once.high - once.low, rel=0.06)
    naive = share(np.repeat(counted, 8), np.arange(240))
    assert naive.high - naive.low < 0.5 * (copies.high - copies.low)


def test_with_few_groups_the_interval_of_a_share_is_that_of_korn_and_graubard():
    groups = np.repeat([3, 5, 6, 9], [4, 6, 5, 7])
    counted = np.arange(22) % 7 < np.where(groups == 6, 6, 1)
    p, n, between = counted.mean(), 22, 0.0
    for group in set(groups):
        between += sum(value - p for value in counted[groups == group]) ** 2
    effect = (4 / 3 * between / n**2) / (p * (1 - p) / (n - 1))
    trials = min(n, n / effect * (t.ppf(0.975, n - 1) / t.ppf(0.975, 3)) ** 2)
    assert 1 < trials < n
    low = beta.ppf(0.025, trials * p, trials - trials * p + 1)
    high = beta.ppf(0.975, trials * p + 1, trials - trials * p)
    assert share(counted, groups) == pytest.approx((p, low, high))


def test_all_of_few_groups_is_far_from_certain():
    assert share(np.ones(80, dtype=bool), np.repeat(np.arange(10), 8)).low == pytest.approx(0.025 ** (1 / 10))


def test_nothing_and_one_group_alone_have_no_interval():
    assert math.isnan(share(np.zeros(0, dtype=bool), np.zeros(0, dtype=int)).value)
    alone = share(np.array([True, False]), np.array([4, 4]))
    assert alone.value == 0.5
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)


def test_the_interval_of_a_share_covers_the_truth_where_images_of_a_group_agree():
    rng = np.random.default_rng(0)
    groups, covered, naive = np.repeat(np.arange(26), 8), 0, 0
    for _ in range(400):
        of_group = rng.beta(3, 1, 26)
        counted = rng.random(208) < of_group[groups]
        low, high = share(counted, groups)[1:]
        covered += low <= 0.75 <= high
        exact = binomtest(int(counted.sum()), 208).proportion_ci(method="exact")
        naive += exact.low <= 0.75 <= exact.high
    assert covered / 400 >= 0.94
    assert naive / 400 < 0.9


def test_draws_hold_as_many_groups_as_there_are_however_they_are_cut():
    whole = np.concatenate(list(group_draws(5, 40, seed=1)))
    pieces = list(group_draws(5, 40, seed=1, width=1_000_000))
    assert len(pieces) == 20
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert whole.shape == (40, 5)
    assert (whole.sum(axis=1) == 5).all()
    assert np.concatenate(list(group_draws(4, 4000))).mean(axis=0) == pytest.approx(np.ones(4), abs=0.05)


@pytest.mark.filterwarnings("error")
def test_a_figure_that_is_too_often_undefined_has_no_interval():
    drawn = np.tile(np.arange(101.0)[:, None], (1, 4))
    drawn[:, 1], drawn[0, 2], drawn[:9, 3] = math.nan, math.nan, math.nan
    found = percentiles(drawn, 0.9)
    np.testing.assert_allclose(found[:, 0], [5, 95])
    assert np.isnan(found[:, [1, 3]]).all()
    np.testing.assert_allclose(found[:, 2], [5.95, 95.05])

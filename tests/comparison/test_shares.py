from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from tasks.comparison.shares import share_interval
from tasks.explanation.intervals import mean_interval


@pytest.mark.parametrize(("n_found", "n"), [(0, 60), (3, 60), (60, 60), (1, 2)])
def test_without_groups_it_is_wilsons(n_found, n):
    found = share_interval(np.arange(n) < n_found)
    low, high = proportion_confint(n_found, n, method="wilson")
    assert (found.mean, found.low, found.high) == pytest.approx((n_found / n, low, high), abs=1e-12)


@pytest.mark.parametrize("value", [True, False])
def test_images_that_are_all_alike_leave_doubt_by_the_number_of_groups(value):
    groups = np.repeat(np.arange(12), 10).astype(object)
    found = share_interval(np.full(120, value), groups)
    low, high = proportion_confint(12 * value, 12, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.n_groups == 12


def test_groups_are_drawn_whole():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10).astype(object)
    found = np.repeat(random.random(30) < 0.4, 10)
    own = share_interval(found, groups)
    assert own == mean_interval(found.astype(float), groups)
    alone = share_interval(found)
    assert own.high - own.low > 2 * (alone.high - alone.low)


def test_a_handful_of_groups_gives_no_interval():
    for found in (np.zeros(50, bool), np.arange(50) < 10):
        assert math.isnan(share_interval(found, np.repeat(np.arange(5), 10).astype(object)).low)

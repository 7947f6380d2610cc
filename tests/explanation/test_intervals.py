import numpy as np
import pandas as pd
import pytest

from tasks.explanation.intervals import LEAST_GROUPS, chance_of_more, difference_interval, known_groups, mean_interval

pytestmark = pytest.mark.filterwarnings("error")


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    held = [(found := mean_interval(random.gamma(2, 1, 30))).low <= 2 <= found.high for _ in range(200)]
    assert 0.88 <= np.mean(held) <= 0.99


def test_groups_count_only_where_every_image_has_one():
    assert known_groups(pd.Series(["a", "b", "a"])).tolist() == ["a", "b", "a"]
    assert known_groups(pd.Series(["a", None])) is None


def test_groups_are_drawn_whole():
    random = np.random.default_rng(1)
    effects, groups = random.normal(0, 1, 20), np.repeat(np.arange(20), 8)
    values = effects[groups] + random.normal(0, 0.1, 160)
    alone, together = mean_interval(values), mean_interval(values, groups.astype(str))
    assert alone.mean == pytest.approx(together.mean) == pytest.approx(values.mean())
    assert together.n_groups == 20
    assert 2 < (together.high - together.low) / (alone.high - alone.low) < 3.5
    expected = 2 * 1.96 * values.reshape(20, 8).mean(axis=1).std(ddof=1) / np.sqrt(20)
    assert together.high - together.low == pytest.approx(expected, rel=0.15)


def test_a_difference_has_the_spread_of_both_parts():
    random = np.random.default_rng(2)
    first, second = random.normal(3, 1, 50), random.normal(1, 2, 40)
    found = difference_interval(first, second)
    half = 1.96 * np.sqrt(first.var(ddof=1) / 50 + second.var(ddof=1) / 40)
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert found.n_groups == 40
    np.testing.assert_allclose([found.low, found.high], [found.mean - half, found.mean + half], atol=0.2 * half)
    assert found.above
    assert not difference_interval(second, first).above


def test_the_chance_of_more_is_that_of_all_permutations():
    first, second = np.array([5.0, 6, 7]), np.array([1.0, 2, 3, np.nan])
    assert chance_of_more(first, second) == pytest.approx(1 / 20)
    assert chance_of_more(second, first) == pytest.approx(1)
    assert chance_of_more(first, np.array([5.0, 6, 7])) > 0.5
    assert chance_of_more(first, np.array([np.nan])) == 1


def test_the_chance_of_more_moves_whole_groups_and_is_fine_enough_for_its_level():
    values, groups = np.repeat([5.0, 6, 7, 1, 2, 3], 4), np.repeat(np.arange(6), 4)
    own = values > 4
    parts = values[own], values[~own], groups[own], groups[~own]
    assert chance_of_more(*parts) == pytest.approx(1 / 20)
    alone = chance_of_more(*parts[:2], level=0.9999)
    assert alone < 0.0001
    assert chance_of_more(*parts[:2], level=0.9999) == alone


def test_values_without_spread_are_their_own_interval():
    found = mean_interval(np.full(10, 0.3))
    assert (found.low, found.high) == (found.mean, found.mean)
    assert found.mean == pytest.approx(0.3)
    assert mean_interval(np.zeros(10)).above is False


def test_too_few_groups_give_no_interval():
    values = np.append(np.arange(LEAST_GROUPS - 1.0), np.nan)
    found = mean_interval(values)
    assert (found.mean, found.n_groups, found.above) == (2.0, LEAST_GROUPS - 1, None)
    assert np.isnan([found.low, found.high]).all()
    assert mean_interval(np.arange(float(LEAST_GROUPS))).above is True
    assert np.isnan(mean_interval(np.full(3, np.nan)).mean)


def test_a_seed_gives_one_interval_and_a_level_its_width():
    values = np.random.default_rng(3).normal(size=40)
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4)
    assert mean_interval(values, seed=4) != mean_interval(values, seed=5)
    narrow, wide = mean_interval(values, level=0.8), mean_interval(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high

"""The cluster bootstrap, against Student's interval and a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasks.comparison.statistics.bootstrap import bootstrap_scores, drawn_groups, expanded_interval, standard_error
from tasks.comparison.statistics.units import mean_scorer


def test_as_many_groups_are_drawn_as_there_are_each_equally_often():
    counts = drawn_groups(20, 20_000, np.random.default_rng(0))
    assert (counts.sum(axis=1) == 20).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.04)
    # The number of times that one of n groups is drawn is binomial: n draws with a chance of 1/n.
    np.testing.assert_allclose(counts.var(), 1 - 1 / 20, atol=0.01)


def test_draws_are_means_over_the_images_of_whole_groups():
    rng = np.random.default_rng(0)
    values, groups = rng.random(30), rng.permutation(np.append(np.arange(7), rng.integers(0, 7, 23)))
    found = bootstrap_scores([mean_scorer(values, groups)], groups, n_draws=50, seed=3)[:, 0]
    counts = drawn_groups(7, 50, np.random.default_rng(3))
    slow = []
    for own in counts:
        chosen = [values[groups == group] for group in range(7) for _ in range(int(own[group]))]
        slow.append(np.concatenate(chosen).mean())
    np.testing.assert_allclose(found, slow)


def test_scorers_see_the_same_draws_and_a_seed_gives_the_same_figures():
    values, groups = np.random.default_rng(0).random(40), np.arange(40) // 4
    twice = [mean_scorer(values, groups), mean_scorer(2 * values, groups)]
    found = bootstrap_scores(twice, groups, n_draws=30, seed=1)
    np.testing.assert_allclose(found[:, 1], 2 * found[:, 0])
    np.testing.assert_array_equal(found, bootstrap_scores(twice, groups, n_draws=30, seed=1))
    assert not np.array_equal(found, bootstrap_scores(twice, groups, n_draws=30, seed=2))


@pytest.mark.parametrize("n_groups", [6, 26, 200])
def test_the_interval_of_a_mean_is_students_interval(n_groups):
    values = stats.norm.ppf((np.arange(n_groups) + 0.5) / n_groups)
    groups = np.arange(n_groups)
    draws = bootstrap_scores([mean_scorer(values, groups)], groups, n_draws=20_000)[:, 0]
    error = values.std(ddof=1) / np.sqrt(n_groups)
    half = stats.t.ppf(0.975, n_groups - 1) * error
    np.testing.assert_allclose(expanded_interval(draws, n_groups, 0.95), [-half, half], rtol=0.06)
    assert standard_error(draws, n_groups) == pytest.approx(error, rel=0.03)


def test_copies_of_an_image_in_its_group_make_no_interval_narrower():
    values = np.random.default_rng(0).random(25)
    once, copied = np.arange(25), np.repeat(np.arange(25), 8)
    ends = [
        expanded_interval(bootstrap_scores([mean_scorer(own, groups)], groups, n_draws=2000)[:, 0], 25, 0.95)
        for own, groups in ((values, once), (values[copied], copied))
    ]
    np.testing.assert_allclose(*ends)


def test_one_group_or_no_defined_draw_gives_no_interval_and_undefined_draws_are_left_out():
    assert np.isnan(expanded_interval(np.ones(5), 1, 0.95)).all()
    assert np.isnan(standard_error(np.ones(5), 1))
    assert np.isnan(expanded_interval(np.full(5, np.nan), 30, 0.95)).all()
    assert np.isnan(standard_error(np.full(5, np.nan), 30))
    draws = np.random.default_rng(0).random(1000)
    with_gaps = np.insert(draws, [3, 500], np.nan)
    assert expanded_interval(with_gaps, 30, 0.95) == expanded_interval(draws, 30, 0.95)
    assert standard_error(with_gaps, 30) == standard_error(draws, 30)

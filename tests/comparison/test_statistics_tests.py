"""The sign-flip test by groups and McNemar's test: against oracles, and by simulation under no difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasks.comparison.statistics.mcnemar import mcnemar
from tasks.comparison.statistics.permutation import both_models, swap_test
from tasks.comparison.statistics.weighted import RowMetric, weighted_metric
from tasks.evaluation.checks import checked_predictions
from tests.support.level import TARGETS, models, rates


def p_values(first, second, groups, metrics, **settings):
    both, units = both_models(first, second, groups)
    return swap_test([weighted_metric(own, both, units, TARGETS) for own in metrics], groups, **settings)


@pytest.mark.parametrize("seed", range(4))
def test_means_over_groups_of_one_size_have_the_p_value_of_scipys_exact_test(seed):
    rng, groups = np.random.default_rng(seed), np.arange(60) // 6
    first, second = models(rng, groups, gap=0.8)
    metrics = ("accuracy", "log_loss", "brier")
    found = p_values(first, second, groups, metrics, n_draws=20_000)
    for metric, p in zip(metrics, found, strict=True):
        one, other = (weighted_metric(metric, own, groups, TARGETS)(np.eye(10)) for own in (first, second))
        exact = stats.permutation_test(
            (one, other), lambda x, y, axis: (x - y).mean(axis=axis), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert p == pytest.approx(exact, abs=0.015), metric


def test_an_area_under_the_curve_has_the_p_value_of_every_way_to_swap():
    rng, groups = np.random.default_rng(1), np.arange(24) % 8
    first, second = models(rng, groups, gap=1.0)
    both, units = both_models(first, second, groups)
    scorer = weighted_metric("roc_auc", both, units, TARGETS)
    kept = (np.arange(2**8)[:, None] >> np.arange(8)) % 2
    every = scorer(np.hstack([kept, 1 - kept]).astype(float)) - scorer(np.hstack([1 - kept, kept]).astype(float))
    exact = np.mean(np.abs(every) >= np.abs(every[-1]) - 1e-12)
    assert p_values(first, second, groups, ["roc_auc"], n_draws=20_000)[0] == pytest.approx(exact, abs=0.015)


def test_the_p_value_is_the_same_for_the_two_the_other_way_round_and_never_0():
    groups = np.repeat(np.arange(30), 4)
    first, second = models(np.random.default_rng(2), groups, gap=4.0)
    one, other = (
        p_values(*pair, groups, ["accuracy", "roc_auc"], n_draws=999) for pair in ((first, second), (second, first))
    )
    np.testing.assert_array_equal(one, other)
    assert one[0] == 1 / 1000


def test_equal_models_never_differ_and_an_undefined_metric_has_no_p_value():
    groups = np.repeat(np.arange(25), 2)
    first, _ = models(np.random.default_rng(0), groups)
    assert p_values(first, first, groups, ["accuracy", "f1_macro"], n_draws=99).tolist() == [1, 1]
    undefined = RowMetric("mine", lambda *_: np.nan)
    assert np.isnan(p_values(first, first, groups, [undefined], n_draws=9)).all()


def test_draws_that_differ_by_rounding_alone_are_as_far_apart():
    rng, groups, truth = np.random.default_rng(0), np.arange(25), np.zeros(25, np.int64)
    share = rng.random(25)
    share[:3] = 0.1
    lower = np.append(np.full(3, 0.3), share[3:])
    first, second = (checked_predictions(truth, np.stack([own, 1 - own], axis=1), 2) for own in (share, lower))
    # Three groups differ, all by the same: of eight ways to turn their signs, two leave the sum as far from 0.
    found = p_values(first, second, groups, ["log_loss", "brier"], n_draws=20_000)
    np.testing.assert_allclose(found, 0.25, atol=0.015)


def test_under_no_difference_tests_by_groups_keep_their_level_and_mcnemars_does_not():
    rate = rates(1000)
    for by_group in ("accuracy", "roc_auc", "log_loss", "interval"):
        assert 0.03 <= rate[by_group] <= 0.07, rate
    assert rate["exact"] >= rate["accuracy"] + 0.03, rate
    assert rate["mid"] >= rate["exact"] > 0.09, rate


def test_a_difference_is_found():
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(26), 8)
    found = [
        p_values(*models(rng, groups, gap=1.5), groups, ["accuracy"], n_draws=500, seed=run)[0] for run in range(100)
    ]
    assert np.mean(np.array(found) <= 0.05) > 0.8


def rights(only_first, only_second, both=3, neither=2):
    first = np.repeat([True, False, True, False], [only_first, only_second, both, neither])
    second = np.repeat([False, True, True, False], [only_first, only_second, both, neither])
    return first, second, np.arange(len(first))


def test_mcnemar_gives_published_figures():
    # Fagerland, Lydersen and Laake (2013), airway hyper-responsiveness: 1 and 7 discordant pairs.
    found = mcnemar(*rights(1, 7))
    assert found[:2] == (1, 7)
    assert (found.exact, found.mid) == pytest.approx((0.0703125, 0.0390625))
    # The test of mlxtend's `mcnemar(exact=True)`: 121 and 59.
    assert mcnemar(*rights(121, 59)).exact == pytest.approx(4.4344492637555101e-06)


@pytest.mark.parametrize("only_first", range(7))
@pytest.mark.parametrize("only_second", range(7))
def test_mcnemars_exact_p_value_is_that_of_the_binomial_test_and_the_mid_p_value_is_below_it(only_first, only_second):
    found = mcnemar(*rights(only_first, only_second))
    n = only_first + only_second
    assert found.exact == pytest.approx(stats.binomtest(only_first, n).pvalue if n else 1)
    here = stats.binom.pmf(only_first, n, 0.5)
    halved = here / 2 if only_first == only_second else here
    assert found.mid == pytest.approx(found.exact - halved if n else 1)


def test_mcnemar_is_refused_where_a_group_has_several_images():
    first, second, groups = rights(3, 4)
    with pytest.raises(ValueError, match=r"2 of 9 groups hold several images .up to 3.*sign-flip"):
        mcnemar(first, second, np.append(groups[:9], [1, 1, 4]))

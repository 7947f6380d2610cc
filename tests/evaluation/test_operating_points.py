from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from tasks.evaluation.forecasts import Forecasts
from tasks.evaluation.operating_points import operating_table, rates_at, wanted_point


def forecasts(probability, happened, groups=None):
    n = len(probability)
    return Forecasts(
        np.asarray(probability, float), np.asarray(happened, bool), np.arange(n) if groups is None else groups
    )


def two_normals(n, seed, groups=None):
    rng = np.random.default_rng(seed)
    happened = np.arange(n) % 2 == 0
    spread = np.zeros(n)
    if groups is not None:
        happened = groups % 2 == 0
        spread = 1.5 * rng.standard_normal(groups.max() + 1)[groups]
    return forecasts(norm.cdf(rng.standard_normal(n) + happened + spread), happened, groups)


def point(probability, happened, wanted, target):
    return wanted_point(forecasts(probability, happened), wanted, target, n_draws=20)


def test_the_threshold_lies_midway_below_the_last_image_that_is_needed():
    p, y = [0.9, 0.8, 0.6, 0.5, 0.3, 0.1], [1, 1, 0, 1, 0, 0]
    found = point(p, y, "sensitivity", 0.6)
    assert (found.threshold.value, found.reached.value, found.other.value) == pytest.approx((0.7, 2 / 3, 1))
    found = point(p, y, "sensitivity", 1)
    assert (found.threshold.value, found.reached.value, found.other.value) == pytest.approx((0.4, 1, 2 / 3))
    found = point(p, y, "specificity", 0.6)
    assert (found.threshold.value, found.reached.value, found.other.value) == pytest.approx((0.4, 2 / 3, 1))
    found = point(p, y, "specificity", 1)
    assert (found.threshold.value, found.reached.value, found.other.value) == pytest.approx((0.7, 1, 2 / 3))
    assert (found.n_positive, found.n_negative) == (3, 3)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=2, max_size=12),
    st.sampled_from(["sensitivity", "specificity"]),
    st.sampled_from([0.3, 0.5, 0.8, 0.95, 1.0]),
)
def test_the_wanted_rate_is_reached_and_no_threshold_that_reaches_it_has_more_of_the_other(pairs, wanted, target):
    p, y = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    found = point(p, y, wanted, target)
    if y.all() or not y.any():
        assert found is None
        return

    def rates(at):
        both = {"sensitivity": (p >= at)[y].mean(), "specificity": (p < at)[~y].mean()}
        return both.pop(wanted), next(iter(both.values()))

    reached, other = rates(found.threshold.value)
    assert (reached, other) == pytest.approx((found.reached.value, found.other.value))
    assert reached >= target - 1e-9
    candidates = (rates(at) for at in [*p, 1.1])
    assert other == pytest.approx(max(rest for rate, rest in candidates if rate >= target - 1e-9))


def test_images_of_one_probability_are_called_alike():
    p, y = np.full(20, 0.5), np.arange(20) < 10
    assert (lambda x: (x.reached.value, x.other.value))(point(p, y, "sensitivity", 0.5)) == (1, 0)
    none = point(p, y, "specificity", 0.5)
    assert (none.threshold.value, none.reached.value, none.other.value) == (0.75, 1, 0)
    certain = point(np.ones(4), [1, 1, 0, 0], "specificity", 0.9)
    assert certain.threshold.value > 1


def test_rates_have_the_exact_interval_without_groups():
    found = rates_at(two_normals(200, 0), 0.6)
    one = two_normals(200, 0)
    called = one.probability >= 0.6
    counts = {
        "sensitivity": (called & one.happened, one.happened),
        "specificity": (~called & ~one.happened, ~one.happened),
        "precision": (called & one.happened, called),
        "negative_predictive_value": (~called & ~one.happened, ~called),
    }
    for name, (hits, among) in counts.items():
        exact = binomtest(int(hits.sum()), int(among.sum())).proportion_ci()
        assert getattr(found, name) == pytest.approx((hits.sum() / among.sum(), exact.low, exact.high))


def test_nobody_called_has_no_precision():
    found = rates_at(forecasts([0.1, 0.2], [1, 0]), 0.9)
    assert math.isnan(found.precision.value)
    assert found.specificity.value == 1


def test_the_intervals_are_those_of_a_slow_bootstrap():
    groups = np.repeat(np.arange(30), 4)
    one = two_normals(120, 1, groups)
    found = wanted_point(one, "sensitivity", 0.8, n_draws=1500, seed=3)
    rng, slow = np.random.default_rng(9), []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(30, size=30)])
        p, y = one.probability[rows], one.happened[rows]
        at = np.sort(p[y])[::-1][math.ceil(0.8 * y.sum() - 1e-9) - 1]
        slow.append(((p[~y] < at).mean(), at))
    low, high = np.quantile(slow, [0.025, 0.975], axis=0)
    assert found.other[1:] == pytest.approx((low[0], high[0]), abs=0.04)
    assert found.threshold[1:] == pytest.approx((low[1], high[1]), abs=0.03)


def test_intervals_cover_the_truth():
    sensitivity, covered = 0.8, np.zeros(2)
    threshold = norm.cdf(1 + norm.ppf(1 - sensitivity))
    specificity = norm.cdf(norm.ppf(threshold))
    for seed in range(120):
        found = wanted_point(two_normals(160, seed), "sensitivity", sensitivity, n_draws=300, seed=seed)
        covered += [
            found.threshold.low <= threshold <= found.threshold.high,
            found.other.low <= specificity <= found.other.high,
        ]
    assert (covered / 120 >= 0.89).all()


def test_groups_widen_the_intervals():
    groups = np.repeat(np.arange(24), 8)
    one = two_normals(192, 5, groups)
    grouped, apart = (wanted_point(x, "specificity", 0.9) for x in (one, one._replace(groups=np.arange(192))))
    assert grouped.threshold.value == apart.threshold.value
    for name in ("threshold", "reached", "other"):
        ends, ends_apart = getattr(grouped, name), getattr(apart, name)
        assert ends.high - ends.low > 1.2 * (ends_apart.high - ends_apart.low), name


@pytest.mark.parametrize("wanted", ["sensitivity", "specificity"])
def test_classes_that_do_not_overlap_are_not_told_as_certain(wanted):
    one = forecasts(np.linspace(0, 1, 60), np.arange(60) >= 30, np.arange(60) // 3)
    found = wanted_point(one, wanted, 0.9, n_draws=200)
    assert found.other == pytest.approx((1, 0.025 ** (1 / 10), 1))
    assert found.threshold.low < found.threshold.value < found.threshold.high


def test_few_groups_of_a_class_have_no_bootstrap_interval():
    found = wanted_point(forecasts(np.linspace(0, 1, 40), np.arange(40) >= 35), "sensitivity", 0.9)
    assert math.isnan(found.threshold.low)
    assert found.reached.low < 1
    overlapping = wanted_point(forecasts(np.linspace(0, 1, 40), np.arange(40) % 9 == 5), "sensitivity", 0.9)
    assert 0 < overlapping.other.value < 1
    assert math.isnan(overlapping.other.high)


def test_the_table_has_a_row_for_each_event_and_rate_that_can_be_had():
    given_events = {"scab": two_normals(60, 0), "never": forecasts([0.2, 0.4], [0, 0])}
    table = operating_table(given_events, [("sensitivity", 0.9), ("specificity", 0.95)], n_draws=50)
    assert table[["event", "wanted"]].to_numpy().tolist() == [["scab", "sensitivity"], ["scab", "specificity"]]
    assert (table["sensitivity"][0], table["specificity"][1]) >= (0.9, 0.95)
    assert table.notna().to_numpy().all()
    assert (table["threshold_low"] <= table["threshold_high"]).all()


@pytest.mark.parametrize("target", [0, 1.2, 95])
def test_a_rate_that_no_one_can_want_is_refused(target):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        wanted_point(two_normals(20, 0), "sensitivity", target)

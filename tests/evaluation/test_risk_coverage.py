from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tasks.evaluation.forecasts import Abstention
from tasks.evaluation.risk_coverage import most_coverage, risk_coverage


def abstention(confidence, loss, groups=None):
    n = len(loss)
    return Abstention(
        np.asarray(confidence, float), np.asarray(loss, float), np.arange(n) if groups is None else groups
    )


def slow_area(loss):
    return np.mean([np.mean(loss[: k + 1]) for k in range(len(loss))])


def useful(n, seed=0, size=1):
    rng = np.random.default_rng(seed)
    confidence = rng.beta(3, 1, n * size)
    return abstention(confidence, rng.random(n * size) > confidence, np.repeat(np.arange(n), size))


def test_the_area_is_the_mean_risk_over_all_coverages():
    one = useful(80)
    found = risk_coverage(one, n_draws=10)
    order = np.argsort(-one.confidence)
    assert found.area.value == pytest.approx(slow_area(one.loss[order]))
    assert found.excess.value == pytest.approx(found.area.value - slow_area(np.sort(one.loss)))
    for row in found.curve.itertuples():
        kept = order[: round(row.coverage * 80)]
        assert row.risk == pytest.approx(one.loss[kept].mean())
        assert row.confidence == one.confidence[kept[-1]]
    assert found.curve["risk"].iloc[-1] == pytest.approx(found.risk) == pytest.approx(one.loss.mean())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.integers(0, 1)), min_size=1, max_size=5))
def test_equal_confidence_counts_as_the_mean_over_all_orders(pairs):
    confidence, loss = (np.array(column, float) for column in zip(*pairs, strict=True))
    areas = [
        slow_area(loss[list(order)])
        for order in permutations(range(len(loss)))
        if (np.diff(confidence[list(order)]) <= 0).all()
    ]
    found = risk_coverage(abstention(confidence, loss), n_draws=5)
    assert found.area.value == pytest.approx(np.mean(areas))
    assert found.excess.value >= -1e-12


def test_one_confidence_for_all_tells_nothing_and_one_that_tells_all_has_no_excess():
    loss = np.arange(40) % 4 == 0
    same = risk_coverage(abstention(np.full(40, 0.7), loss), n_draws=20)
    np.testing.assert_allclose(same.curve["risk"], 0.25)
    assert same.area.value == pytest.approx(0.25)
    ideal = risk_coverage(abstention(1 - 0.5 * loss, loss), n_draws=20)
    assert ideal.excess.value == pytest.approx(0, abs=1e-12)
    assert ideal.curve.loc[ideal.curve["coverage"] <= 0.75, "risk"].tolist() == [0] * 15
    # Geifman et al. (2019): the least area is near r + (1 - r) ln(1 - r).
    n = 4000
    many = risk_coverage(abstention(np.arange(n, 0, -1) / n, np.arange(n) >= 0.75 * n), n_draws=6)
    assert many.area.value == pytest.approx(0.25 + 0.75 * math.log(0.75), abs=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wrong", [0, 1])
def test_all_right_or_all_wrong_has_that_risk_everywhere(wrong):
    found = risk_coverage(abstention(np.linspace(0.4, 1, 30), np.full(30, wrong)), n_draws=30)
    assert found.area.value == wrong
    assert found.excess.value == 0
    assert np.isnan([found.area.low, found.area.high, found.excess.low, found.excess.high]).all()
    assert (found.curve["risk"] == wrong).all()
    exact = binomtest(30 * wrong, 30).proportion_ci()
    assert found.curve[["low", "high"]].iloc[-1].tolist() == pytest.approx([exact.low, exact.high])


def test_no_mistake_among_few_groups_is_not_told_as_certain():
    confidence = np.linspace(1, 0.5, 100)
    found = risk_coverage(abstention(confidence, confidence < 0.7, np.arange(100) // 5), [0.2, 0.8], n_draws=100)
    assert found.curve["risk"].tolist() == pytest.approx([0, 0.25])
    # Four groups without a mistake.
    assert found.curve["high"][0] == pytest.approx(1 - 0.025 ** (1 / 4))


def test_the_intervals_are_those_of_a_slow_bootstrap_of_groups():
    one = useful(40, size=3)
    found = risk_coverage(one, [0.5], n_draws=2000)
    rng, slow = np.random.default_rng(4), []
    for _ in range(2000):
        rows = np.concatenate([np.flatnonzero(one.groups == g) for g in rng.integers(40, size=40)])
        loss = one.loss[rows][np.argsort(-one.confidence[rows], kind="stable")]
        risks = np.cumsum(loss) / np.arange(1, 121)
        slow.append((risks[59], risks.mean(), risks.mean() - slow_area(np.sort(loss))))
    low, high = np.quantile(slow, [0.025, 0.975], axis=0)
    assert (found.curve["low"][0], found.curve["high"][0]) == pytest.approx((low[0], high[0]), abs=0.015)
    assert found.area[1:] == pytest.approx((low[1], high[1]), abs=0.01)
    assert found.excess[1:] == pytest.approx((low[2], high[2]), abs=0.01)


def test_the_most_coverage_keeps_the_risk_and_takes_equals_together():
    one = abstention([0.9, 0.9, 0.8, 0.7, 0.7], [0, 0, 0, 1, 0])
    assert most_coverage(one, 0.0) == (0.6, 0.8)
    assert most_coverage(one, 0.2) == (1.0, 0.7)
    coverage, confidence = most_coverage(abstention([0.9, 0.9], [1, 0]), 0.1)
    assert coverage == 0
    assert math.isnan(confidence)


def test_few_groups_have_no_interval_and_odd_coverages_are_refused():
    found = risk_coverage(useful(5, size=6))
    assert math.isnan(found.area.low)
    assert found.curve["low"].isna().all()
    for coverages in ([0.0], [1.1]):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            risk_coverage(useful(10), coverages)

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.comparison.summary import summarise_folds


def one(series, *, n_train=None, n_test=None, ranges=None):
    k = len(series)
    sizes = {"n_train": n_train or [80] * k, "n_test": n_test or [20] * k}
    return summarise_folds({"accuracy": series}, **sizes, ranges=ranges)["accuracy"]


def test_five_folds_give_the_interval_worked_out_by_hand():
    summary = one([0.80, 0.82, 0.84, 0.86, 0.88])
    # s = 0.0316228, t(4, 0.975) = 2.776445, sqrt(1/5 + 20/80) = 0.670820
    assert summary.mean == pytest.approx(0.84)
    assert summary.std == pytest.approx(0.0316228, abs=1e-7)
    assert summary.ci_low == pytest.approx(0.84 - 0.0588973, abs=1e-6)
    assert summary.ci_high == pytest.approx(0.84 + 0.0588973, abs=1e-6)


def test_two_folds_give_the_interval_worked_out_by_hand():
    summary = one([0.0, 1.0], n_train=[50, 50], n_test=[50, 50])
    # s² = 0.5, t(1, 0.975) = 12.70620, 1/2 + 50/50 = 1.5
    assert summary.ci_high - 0.5 == pytest.approx(12.70620 * math.sqrt(1.5 * 0.5), rel=1e-5)
    assert summary.ci_low == pytest.approx(1 - summary.ci_high)


def test_the_interval_is_wider_than_the_plain_t_interval_by_the_shared_training_images():
    summary = one([0.7, 0.8, 0.9])
    plain = 4.302653 * summary.std / math.sqrt(3)
    assert (summary.ci_high - summary.mean) / plain == pytest.approx(math.sqrt((1 / 3 + 0.25) / (1 / 3)), rel=1e-6)


def test_the_interval_is_cut_at_the_metric_range():
    summary = one([0.9, 1.0, 0.7], ranges={"accuracy": (0.0, 1.0)})
    assert summary.ci_high == 1.0
    assert 0.0 < summary.ci_low < 0.9
    assert one([0.9, 1.0, 0.7]).ci_high > 1.0


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, 1.0])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_equal_folds_give_an_interval_of_no_width(value, k):
    summary = one([value] * k)
    assert (summary.mean, summary.std, summary.ci_low, summary.ci_high) == (value, 0.0, value, value)


def test_one_fold_has_a_mean_and_nothing_else():
    summary = one([0.75])
    assert (summary.mean, summary.std, summary.ci_low, summary.ci_high) == (0.75, None, None, None)


@pytest.mark.parametrize("gap", [None, math.nan, math.inf])
def test_an_undefined_fold_is_left_out_of_the_figures_and_of_the_sizes(gap):
    summary = one([0.8, gap, 0.9], n_train=[80, 1, 80], n_test=[20, 1000, 20])
    rest = one([0.8, 0.9])
    assert summary.folds == [0.8, None, 0.9]
    assert summary.n_defined == 2
    assert (summary.mean, summary.std, summary.ci_low, summary.ci_high) == (
        rest.mean,
        rest.std,
        rest.ci_low,
        rest.ci_high,
    )


def test_a_metric_that_is_nowhere_defined_has_no_mean():
    summary = one([None, math.nan])
    assert (summary.mean, summary.std, summary.ci_low, summary.ci_high, summary.n_defined) == (*[None] * 4, 0)


SERIES = st.lists(
    st.one_of(st.none(), st.floats(-1e9, 1e9), st.sampled_from([math.nan, math.inf, -math.inf])), min_size=1
)


@given(SERIES)
def test_json_never_holds_nan_or_infinity(series):
    assert json.loads(json.dumps(one(series).to_json(), allow_nan=False)) == one(series).to_json()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10), st.randoms())
def test_the_order_of_folds_changes_no_bit_and_the_mean_lies_within(series, random):
    first = one(series, ranges={"accuracy": (0.0, 1.0)})
    shuffled = list(series)
    random.shuffle(shuffled)
    second = one(shuffled, ranges={"accuracy": (0.0, 1.0)})
    assert (first.mean, first.std, first.ci_low, first.ci_high) == (
        second.mean,
        second.std,
        second.ci_low,
        second.ci_high,
    )
    assert 0 <= first.ci_low <= first.mean <= first.ci_high <= 1


def test_values_and_sizes_must_belong_to_the_same_folds():
    with pytest.raises(ValueError, match="3 values, but there are 2 folds"):
        summarise_folds({"accuracy": [1, 1, 1]}, n_train=[8, 8], n_test=[2, 2])
    with pytest.raises(ValueError, match="2 training sizes but 1 test"):
        summarise_folds({}, n_train=[8, 8], n_test=[2])
    with pytest.raises(ValueError, match="without training or test images"):
        summarise_folds({}, n_train=[8, 0], n_test=[2, 2])

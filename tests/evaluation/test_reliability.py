from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tasks.evaluation.calibration import expected_calibration_error
from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.forecasts import Forecasts, decision_forecasts
from tasks.evaluation.reliability import bin_places, calibration_error, reliability_table


def forecasts(probability, happened, groups=None):
    n = len(probability)
    return Forecasts(
        np.asarray(probability, float), np.asarray(happened, bool), np.arange(n) if groups is None else groups
    )


def calibrated(n, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.beta(2, 1, n)
    return forecasts(probability, rng.random(n) < probability)


def test_bins_of_equal_mass_hold_equally_many_and_never_part_equal_probabilities():
    places = bin_places(np.random.default_rng(0).random(300), 10)
    assert np.bincount(places).tolist() == [30] * 10
    tied = bin_places(np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.9]), 3)
    assert len(set(tied[:4])) == len(set(tied[4:])) == 1
    assert tied[0] < tied[5]
    assert len(set(bin_places(np.full(7, 0.4), 3))) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.5, 0.9, 1.0]), min_size=1, max_size=40), st.integers(1, 9))
def test_bins_keep_the_order_of_probabilities(values, n_bins):
    probability = np.array(values)
    for by in ("mass", "width"):
        places = bin_places(probability, n_bins, by)
        assert places.min() >= 0
        assert places.max() < n_bins
        order = np.argsort(probability)
        assert (np.diff(places[order]) >= 0).all()
        assert (np.diff(places[order])[np.diff(probability[order]) == 0] == 0).all()


@pytest.mark.parametrize("kind", ["multiclass", "ordinal", "multilabel"])
def test_with_bins_of_equal_width_the_error_is_the_metric_ece(kind):
    rng = np.random.default_rng(1)
    y_prob = rng.dirichlet(np.ones(4), 200)
    y_true = (rng.random((200, 4)) < y_prob).astype(int) if kind == "multilabel" else rng.integers(4, size=200)
    predictions = checked_predictions(y_true, y_prob, 4, kind)
    found = calibration_error(decision_forecasts(predictions), by="width")
    assert found.value == pytest.approx(expected_calibration_error(*predictions), abs=1e-12)


def test_the_error_in_bins_of_equal_mass_is_that_of_a_slow_loop():
    one = calibrated(150)
    order = np.argsort(one.probability)
    slow = sum(
        abs(one.probability[part].mean() - one.happened[part].mean()) * len(part) for part in np.split(order, 15)
    )
    assert calibration_error(one).value == pytest.approx(slow / 150)


def test_a_calibrated_model_is_within_chance_and_an_overconfident_one_is_not():
    above = sum(
        found.value > found.chance_high for found in (calibration_error(calibrated(300, s)) for s in range(100))
    )
    assert 0 <= above <= 12
    one = calibrated(300)
    mean = np.mean([calibration_error(calibrated(300, seed)).value for seed in range(100)])
    assert calibration_error(one).chance == pytest.approx(mean, rel=0.1)
    sharper = one.probability**3 / (one.probability**3 + (1 - one.probability) ** 3)
    worse = calibration_error(one._replace(probability=sharper))
    assert worse.value > worse.chance_high


def test_consistency_bars_are_binomial_where_the_forecasts_of_a_bin_are_equal():
    probability = np.repeat([0.2, 0.7], [40, 60])
    table = reliability_table(forecasts(probability, np.arange(100) % 3 == 0), n_bins=2, by="width")
    for row, n, p in zip(table.itertuples(), (40, 60), (0.2, 0.7), strict=True):
        assert row.count == n
        assert row.probability == pytest.approx(p)
        assert row.consistent_low == pytest.approx(binom.ppf(0.025, n, p) / n, abs=1.01 / n)
        assert row.consistent_high == pytest.approx(binom.ppf(0.975, n, p) / n, abs=1.01 / n)


def test_consistency_bars_hold_a_calibrated_models_frequency_and_tell_another_from_it():
    def inside(given):
        table = reliability_table(given, n_bins=10)
        return table["frequency"].between(table["consistent_low"], table["consistent_high"])

    assert 0.92 <= np.mean([inside(calibrated(400, seed)).mean() for seed in range(40)]) <= 0.99
    one = calibrated(400)
    assert not inside(one._replace(probability=one.probability**3)).all()


def test_the_interval_of_a_bin_knows_groups():
    one = calibrated(40)
    copies = forecasts(np.repeat(one.probability, 6), np.repeat(one.happened, 6), np.repeat(np.arange(40), 6))
    grouped, apart = (reliability_table(x, n_bins=4) for x in (copies, copies._replace(groups=np.arange(240))))
    assert ((grouped["high"] - grouped["low"]) > 1.3 * (apart["high"] - apart["low"])).all()
    np.testing.assert_array_equal(grouped["frequency"], apart["frequency"])


def test_one_probability_alone_makes_one_bin_and_the_same_seed_the_same_bars():
    one = forecasts(np.full(20, 0.5), np.arange(20) < 10)
    for by in ("mass", "width"):
        table = reliability_table(one, by=by)
        assert table["count"].tolist() == [20]
        assert calibration_error(one, by=by).value == 0
        assert table.equals(reliability_table(one, by=by))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("happened", [np.zeros(30, bool), np.ones(30, bool)])
def test_what_always_or_never_happens_has_a_table_with_all_intervals(happened):
    probability = np.append(np.linspace(0, 1, 28), [0, 1])
    assert reliability_table(forecasts(probability, happened), n_bins=5).notna().to_numpy().all()


def test_no_forecast_is_refused():
    with pytest.raises(ValueError, match="at least one bin, got 0"):
        calibration_error(forecasts([], []))

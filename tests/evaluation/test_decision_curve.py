from __future__ import annotations

import numpy as np
import pytest

from tasks.evaluation.decision_curve import decision_curve
from tasks.evaluation.forecasts import Forecasts


def drawn(n=400, seed=0, size=1):
    rng = np.random.default_rng(seed)
    probability = np.repeat(rng.beta(1, 2, n), size)
    return Forecasts(probability, np.repeat(rng.random(n) < probability[::size], size), np.repeat(np.arange(n), size))


def test_the_net_benefit_is_that_of_the_formula():
    one = drawn()
    table = decision_curve(one, [0.1, 0.25, 0.5], n_draws=10)
    for row in table.itertuples():
        called = one.probability >= row.threshold
        true, false = (called & one.happened).sum(), (called & ~one.happened).sum()
        odds = row.threshold / (1 - row.threshold)
        assert row.net_benefit == pytest.approx((true - odds * false) / 400)
        share = one.happened.mean()
        assert row.treat_all == pytest.approx(share - (1 - share) * odds)
        assert row.gain == pytest.approx(row.net_benefit - max(row.treat_all, 0))


def test_an_example_worked_by_hand():
    # Of 100 patients 10 are positive; who acts from 20 % on holds four false alarms to be as bad as one good find.
    probability = np.repeat([0.2, 0.1, 0.3, 0.1], [8, 2, 12, 78])
    one = Forecasts(probability, np.repeat([True, False], [10, 90]), np.arange(100))
    assert decision_curve(one, [0.2], n_draws=10)["net_benefit"][0] == pytest.approx(0.08 - 0.12 / 4)


def test_a_perfect_model_gains_the_share_of_positives_and_one_that_tells_nothing_gains_nothing():
    happened = np.arange(100) < 30
    perfect = decision_curve(Forecasts(happened.astype(float), happened, np.arange(100)), n_draws=10)
    np.testing.assert_allclose(perfect["net_benefit"], 0.3)
    constant = decision_curve(Forecasts(np.full(100, 0.3), happened, np.arange(100)), n_draws=10)
    np.testing.assert_allclose(constant["gain"], 0, atol=1e-12)
    reversed_ = decision_curve(Forecasts(1.0 - happened, happened, np.arange(100)), n_draws=10)
    assert (reversed_["gain"] < 0).all()


@pytest.mark.parametrize("happened", [True, False])
def test_one_outcome_alone_is_acted_on_always_or_never(happened):
    one = Forecasts(np.linspace(0, 1, 30), np.full(30, happened), np.arange(30))
    table = decision_curve(one, n_draws=50)
    assert table.drop(columns="gain_at_once").notna().to_numpy().all()
    assert (table["gain"] <= 1e-12).all()
    assert (table["treat_all"] == 1).all() if happened else (table["treat_all"] < 0).all()


def test_the_intervals_are_those_of_a_slow_bootstrap_of_groups():
    one = drawn(60, size=3)
    # Fifty groups, one of them far larger than the others.
    one = one._replace(groups=np.minimum(one.groups, 49))
    table = decision_curve(one, [0.3], n_draws=3000)
    rng, slow = np.random.default_rng(1), []
    benefit = np.where(one.happened, 1, -0.3 / 0.7)
    acted = benefit * (one.probability >= 0.3)
    for _ in range(3000):
        rows = np.concatenate([np.flatnonzero(one.groups == g) for g in rng.integers(50, size=50)])
        slow.append((acted[rows].mean(), acted[rows].mean() - max(benefit[rows].mean(), 0)))
    low, high = np.quantile(slow, [0.025, 0.975], axis=0)
    assert table[["low", "high", "gain_low", "gain_high"]].iloc[0].tolist() == pytest.approx(
        [low[0], high[0], low[1], high[1]], abs=0.012
    )


def test_intervals_cover_the_net_benefit_of_the_population():
    truth = decision_curve(drawn(200_000, seed=99), [0.2, 0.5], n_draws=1)
    covered = np.zeros(2)
    for seed in range(100):
        table = decision_curve(drawn(200, seed=seed), [0.2, 0.5], n_draws=400)
        covered += truth["net_benefit"].between(table["low"], table["high"])
    assert (covered >= 88).all()


def test_few_groups_have_no_interval_and_odd_thresholds_are_refused():
    assert decision_curve(drawn(5, size=4))["low"].isna().all()
    for thresholds in ([0.0], [1.0], [-1]):
        with pytest.raises(ValueError, match="above 0 and below 1"):
            decision_curve(drawn(), thresholds)


def test_of_guesses_hardly_any_are_said_to_do_good_at_some_threshold():
    """At some of 99 thresholds an interval by itself lies above 0 far more often than in one case of twenty."""
    rng, each, together = np.random.default_rng(0), 0, 0
    for seed in range(60):
        one = Forecasts(rng.beta(1, 9, 80), rng.random(80) < 0.1, np.arange(80))
        table = decision_curve(one, n_draws=300, seed=seed)
        each += bool((table["gain_low"] > 0).any())
        together += bool((table["gain_at_once"] > 0).any())
    assert each >= 8
    assert together <= 3


def test_what_does_good_is_found_and_more_curves_ask_for_more():
    one = drawn()
    table, of_four = (decision_curve(one, at_once=n, n_draws=1000) for n in (1, 4))
    known = table["gain_at_once"].notna()
    assert (table["gain_at_once"] > 0).sum() > 20
    assert (table["gain_at_once"] <= table["gain"])[known].all()
    assert (of_four["gain_at_once"] < table["gain_at_once"])[known].all()

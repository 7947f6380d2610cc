"""Holm's adjustment, compact letters, folds compared, beliefs and power: against definitions and published figures."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.comparison.statistics.bayesian import correlated_t
from tasks.comparison.statistics.letters import compact_letters
from tasks.comparison.statistics.multiple import holm
from tasks.comparison.statistics.power import groups_needed, more_groups, power_of_t
from tasks.comparison.statistics.resampled_t import fold_difference
from tasks.comparison.summary import summarise_folds


def subsets(items):
    return chain.from_iterable(combinations(items, size) for size in range(1, len(items) + 1))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p_values):
    # A hypothesis falls where every set of hypotheses that holds it does by Bonferroni (Marcus et al., 1976).
    found = holm(np.array(p_values))
    for number, own in enumerate(found):
        every = [chosen for chosen in subsets(range(len(p_values))) if number in chosen]
        closed = max(min(1, len(chosen) * min(p_values[i] for i in chosen)) for chosen in every)
        assert own == pytest.approx(closed)


def test_holm_worked_out_by_hand_and_what_was_not_tested_does_not_count():
    found = holm(np.array([0.01, np.nan, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(found, [0.03, np.nan, 0.06, 0.06, 0.02])
    assert holm(np.array([])).tolist() == []
    assert np.isnan(holm(np.array([np.nan]))).all()


NAMES = "PQRSTU"
PAIRS = [frozenset(pair) for pair in combinations(NAMES, 2)]


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_share_a_letter_exactly_if_they_do_not_differ_and_no_letter_is_idle(different):
    found = compact_letters(NAMES, different)
    for one, other in combinations(NAMES, 2):
        assert bool(set(found[one]) & set(found[other])) == (frozenset((one, other)) not in different)
    alike = [set(c) for c in subsets(NAMES) if not any(frozenset(pair) in different for pair in combinations(c, 2))]
    largest = [own for own in alike if not any(own < other for other in alike)]
    letters = set("".join(found.values()))
    columns = [{name for name in NAMES if letter in found[name]} for letter in sorted(letters)]
    assert sorted(map(sorted, columns)) == sorted(map(sorted, largest))
    assert found["P"].startswith("a")


def test_letters_of_a_ranking_overlap_along_it():
    different = {frozenset(pair) for pair in ("PR", "PS", "QS")}
    assert compact_letters("PQRS", different) == {"P": "a", "Q": "ab", "R": "bc", "S": "c"}
    assert compact_letters(["only"], []) == {"only": "a"}
    many = compact_letters(
        [str(number) for number in range(30)], {frozenset(p) for p in combinations(map(str, range(30)), 2)}
    )
    assert list(many.values())[24:28] == ["y", "z", "a'", "b'"]


FIRST, SECOND = [0.80, 0.82, 0.84, 0.86, 0.88], [0.79, 0.83, 0.80, 0.82, 0.85]
SIZES = {"n_train": [80] * 5, "n_test": [20] * 5}


def test_the_corrected_t_test_worked_out_by_hand_and_its_interval_is_that_of_the_summary():
    found = fold_difference(FIRST, SECOND, **SIZES)
    differences = np.subtract(FIRST, SECOND)
    error = np.sqrt((1 / 5 + 20 / 80) * differences.var(ddof=1))
    assert found.standard_error == pytest.approx(error)
    assert found.p == pytest.approx(2 * stats.t.sf(differences.mean() / error, 4))
    summary = summarise_folds({"": differences.tolist()}, **SIZES)[""]
    assert (found.mean, found.low, found.high) == pytest.approx((summary.mean, summary.ci_low, summary.ci_high))
    plain = stats.ttest_rel(FIRST, SECOND).pvalue
    assert found.p > plain


def test_a_fold_that_one_of_the_two_lacks_is_left_out_of_the_figures_and_of_the_sizes():
    sizes = {"n_train": [80, 1, 80, 80], "n_test": [20, 99, 20, 20]}
    found = fold_difference([0.8, 0.9, 0.7, 0.9], [0.7, None, 0.8, 0.6], **sizes)
    assert found == fold_difference([0.8, 0.7, 0.9], [0.7, 0.8, 0.6], n_train=[80] * 3, n_test=[20] * 3)
    assert found.n_folds == 3
    assert fold_difference([0.8, None], [0.7, 0.9], n_train=[8, 8], n_test=[2, 2]) is None
    with pytest.raises(ValueError, match="2 values, but there are 3 folds"):
        fold_difference([1, 1], [0, 0], n_train=[8] * 3, n_test=[2] * 3)


def test_folds_that_all_differ_alike_have_no_p_value():
    found = fold_difference([0.75, 1.0], [0.5, 0.75], n_train=[8, 8], n_test=[2, 2])
    assert (found.mean, found.low, found.high, found.p) == (0.25, 0.25, 0.25, None)
    assert correlated_t(found) == (1, 0, 0)
    assert correlated_t(found, higher_is_better=False) == (0, 0, 1)
    assert correlated_t(found, rope=0.25) == (0, 1, 0)


@pytest.mark.parametrize(
    ("first", "second", "n_folds", "variance"),
    [
        ([5, 7, 3], [4, 2, 6], 3, 16 * (1 / 3 + 1 / 2)),
        ([5, 7, 3, 5], [4, 2, 6, 4], 2, 32 / 3 * (1 / 4 + 1)),
    ],
)
def test_the_posterior_is_baycomps(first, second, n_folds, variance):
    # Figures of baycomp's own tests, of folds once and twice: the scale is that of Nadeau and Bengio.
    sizes = {"n_train": [6 * (n_folds - 1)] * len(first), "n_test": [6] * len(first)}
    found = fold_difference(first, second, **sizes)
    assert (found.mean, found.standard_error**2) == pytest.approx((1, variance))
    posterior = stats.t(len(first) - 1, 1, np.sqrt(variance))
    expected = (posterior.sf(2), posterior.cdf(2) - posterior.cdf(-2), posterior.cdf(-2))
    assert correlated_t(found, rope=2) == pytest.approx(expected)
    assert correlated_t(found, rope=2, higher_is_better=False) == pytest.approx(expected[::-1])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8), st.floats(0, 0.5))
def test_beliefs_sum_to_1_and_the_other_way_round_change_places(pairs, rope):
    first, second = zip(*pairs, strict=True)
    sizes = {"n_train": [80] * len(pairs), "n_test": [20] * len(pairs)}
    one = correlated_t(fold_difference(first, second, **sizes), rope=rope)
    other = correlated_t(fold_difference(second, first, **sizes), rope=rope)
    assert sum(one) == pytest.approx(1)
    assert min(one) >= 0
    assert one == pytest.approx(other[::-1])


def test_a_negative_region_of_equivalence_is_refused():
    with pytest.raises(ValueError, match="half width -0"):
        correlated_t(fold_difference(FIRST, SECOND, **SIZES), rope=-0.1)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_groups_needed_are_those_of_published_tables(effect, n):
    # Paired t-test, 80 % power at 5 % (G*Power, R's power.t.test).
    assert groups_needed(effect, 1 / np.sqrt(10), 10) == n
    assert groups_needed(-effect, 1 / np.sqrt(10), 10) == n
    assert more_groups(effect, 1 / np.sqrt(10), 10) == n - 10
    assert more_groups(effect, 1 / np.sqrt(500), 500) == 0


@given(st.floats(0.15, 3))
def test_the_groups_needed_are_the_fewest(effect):
    needed = groups_needed(effect, 1 / np.sqrt(10), 10)
    assert power_of_t(effect, needed) >= 0.8
    assert needed == 2 or power_of_t(effect, needed - 1) < 0.8


def test_power_is_that_of_gpower_and_its_level_without_an_effect():
    assert power_of_t(1 / 3, 25) == pytest.approx(0.360, abs=5e-4)
    assert power_of_t(0, 12) == pytest.approx(0.05)
    assert power_of_t(-1 / 3, 25) == power_of_t(1 / 3, 25)


def test_power_is_how_often_simulated_tests_reject():
    found = stats.ttest_1samp(np.random.default_rng(0).normal(0.6, 1, (4000, 20)), 0, axis=1).pvalue
    assert np.mean(found <= 0.05) == pytest.approx(power_of_t(0.6, 20), abs=0.02)


@pytest.mark.parametrize(("difference", "error"), [(0.0, 0.1), (0.1, 0.0), (0.1, np.nan), (np.nan, 0.1)])
def test_without_a_difference_or_a_spread_there_is_no_number_of_groups(difference, error):
    assert groups_needed(difference, error, 30) is None
    assert more_groups(difference, error, 30) is None


def test_tiny_and_huge_differences_have_a_number_too():
    assert groups_needed(1e-5, 0.1, 30) > 1e9
    assert groups_needed(1.0, 1e-3, 30) == 2

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.subgroups.findings import CODES, subgroup_findings
from tasks.comparison.subgroups.scores import COLUMNS, subgroup_scores
from tasks.comparison.subgroups.values import MOST_VALUES, subgroup_values
from tasks.config import InputError
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions
from tasks.evaluation.metrics import score

TWO = Targets(("healthy", "ill"))
GRADES = Targets(("0", "1", "2"), "ordinal")
LEAVES = Targets(("rust", "scab"), "multilabel")


def clinic(n_patients=40, of_each=6, gap=0.0, patients_differ=0.1, seed=0):
    """Patients of two sites; `gap`: how much more often images of site B are taken for the other class."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), of_each)
    site = np.where(np.arange(n_patients) % 2 == 0, "A", "B")
    error = np.clip(0.15 + gap * (site == "B") + random.normal(0, patients_differ, n_patients), 0, 1)
    truth = random.integers(0, 2, len(patient))
    wrong = random.random(len(patient)) < error[patient]
    taken = np.where(wrong, 1 - truth, truth)
    prob = np.where(taken == 1, 0.8, 0.2) + random.uniform(-0.15, 0.15, len(patient))
    own = Predictions(truth, np.stack([1 - prob, prob], axis=1), taken)
    return own, site[patient].astype(object), patient.astype(str).astype(object)


def test_scores_are_those_of_the_images_of_each_side():
    own, site, patient = clinic()
    metrics = ["balanced_accuracy", "roc_auc", "log_loss"]
    found = subgroup_scores(own, TWO, {"site": site}, metrics, patient)
    assert tuple(found.columns) == COLUMNS
    assert len(found) == 6
    for row in found.itertuples():
        sides = [Predictions(*(part[side] for part in own)) for side in (site == row.value, site != row.value)]
        inside, outside = (score(*side[:2], TWO.classes, y_pred=side.y_pred)[row.metric] for side in sides)
        assert (row.score, row.others) == pytest.approx((inside, outside))
        assert row.gap == pytest.approx(inside - outside)
        assert row.low < row.score < row.high
        assert row.gap_low < row.gap < row.gap_high
        assert row.n_images == (site == row.value).sum()
        assert row.n_groups == 20


def test_the_interval_of_a_mean_is_students_over_the_patients():
    own, site, patient = clinic(60)
    row = subgroup_scores(own, TWO, {"site": site}, ["accuracy"], patient).iloc[0]
    of_patient = pd.Series(own.y_true == own.y_pred)[site == "A"].groupby(patient[site == "A"]).mean()
    half = 2.045 * of_patient.std() / math.sqrt(30)
    assert row["high"] - row["low"] == pytest.approx(2 * half, rel=0.1)


def test_images_of_one_patient_are_not_independent():
    own, site, patient = clinic(12, 30, patients_differ=0.3)
    by_patient = subgroup_scores(own, TWO, {"site": site}, ["accuracy"], patient).iloc[0]
    by_image = subgroup_scores(own, TWO, {"site": site}, ["accuracy"]).iloc[0]
    assert by_patient["high"] - by_patient["low"] > 2 * (by_image["high"] - by_image["low"])
    assert by_patient["p"] > by_image["p"]


def test_a_gap_is_found_and_told_once_for_the_side_that_is_worse():
    own, site, patient = clinic(60, gap=0.3)
    found = subgroup_scores(own, TWO, {"site": site}, ["balanced_accuracy", "log_loss"], patient)
    assert found.groupby("metric")["p"].nunique().tolist() == [1, 1]
    assert (found["p_holm"] < 0.01).all()
    told = list(subgroup_findings(found, "resnet50"))
    assert [one.code for one in told] == ["subgroups.gap", "subgroups.gap"]
    assert {one.severity for one in told} == {"warn"}
    row = found[(found["value"] == "B") & (found["metric"] == "balanced_accuracy")].iloc[0]
    assert told[0].message == (
        f"resnet50: the balanced accuracy is {row['score']:.3f} where `site` is B (180 images of 30 groups) and "
        f"{row['others']:.3f} elsewhere, a gap of {-row['gap']:.3f} (95 % interval {-row['gap_high']:.3f} to "
        f"{-row['gap_low']:.3f}; p below 0.001, corrected for all comparisons made)."
    )
    assert "is B" in told[1].message
    assert set(CODES) >= {one.code for one in told}


def test_p_is_the_share_of_all_ways_to_choose_the_patients_of_a_site():
    """Twelve patients, one value each: all 924 ways to part them in halves, counted one by one."""
    from itertools import combinations

    rate = np.array([9, 8, 5, 7, 9, 6, 7, 6, 5, 8, 4, 5])
    patient = np.repeat(np.arange(12), 10)
    right = np.concatenate([np.arange(10) < own for own in rate])
    truth = np.arange(120) % 2
    own = Predictions(truth, np.full((120, 2), 0.5), np.where(right, truth, 1 - truth))
    site = np.where(patient < 6, "A", "B").astype(object)
    row = subgroup_scores(own, TWO, {"site": site}, ["accuracy"], patient.astype(object)).iloc[0]
    total = rate.sum()
    gaps = [abs(2 * sum(rate[list(half)]) - total) for half in combinations(range(12), 6)]
    exact = np.mean(np.array(gaps) >= abs(2 * rate[:6].sum() - total))
    assert 0.1 < exact < 0.3
    assert row["p"] == pytest.approx(exact, abs=4 * math.sqrt(exact / 2000))


def test_without_a_gap_one_in_twenty_has_a_small_p_and_hardly_any_a_corrected_one():
    """100 clinics without a gap, a site and two columns of three values each: 5 % of p, 5 % of clinics corrected."""
    small, some = [], []
    for seed in range(100):
        own, site, patient = clinic(30, 4, seed=seed)
        values = np.random.default_rng([seed, 7]).integers(0, 3, (2, 30)).astype(str).astype(object)
        columns = {"site": site} | {str(number): own[patient.astype(int)] for number, own in enumerate(values)}
        found = subgroup_scores(own, TWO, columns, ["brier"], patient)
        small += (found["p"].dropna() < 0.05).tolist()
        some.append(bool((found["p_holm"] < 0.05).any()))
    assert 0.03 < np.mean(small) < 0.07
    assert np.mean(some) < 0.1


def test_holm_counts_a_column_of_two_values_once():
    own, site, patient = clinic(40, gap=0.1)
    three = (np.arange(240) // 6 % 3).astype(str).astype(object)
    found = subgroup_scores(own, TWO, {"site": site, "room": three}, ["accuracy"], patient)
    p = [found["p"].iloc[0], *found["p"].iloc[2:]]
    order = np.argsort(p)
    expected = np.minimum(1, np.maximum.accumulate(np.array(p)[order] * [4, 3, 2, 1]))[np.argsort(order)]
    assert found["p_holm"].tolist() == pytest.approx([expected[0], expected[0], *expected[1:]])


def test_a_camera_that_changes_within_a_patient_moves_with_its_part_of_the_patient():
    own, _, patient = clinic(30, 8, patients_differ=0.25)
    camera = np.where(np.arange(240) % 8 < 4, "old", "new").astype(object)
    row = subgroup_scores(own, TWO, {"camera": camera}, ["accuracy"], patient).iloc[0]
    assert row["n_groups"] == 30
    assert row["n_images"] == 120
    assert 0.02 < row["p"] <= 1


def test_small_subgroups_have_a_score_and_no_claim():
    own, site, patient = clinic(40)
    ward = np.where(np.arange(240) < 30, "small", "large").astype(object)
    found = subgroup_scores(own, TWO, {"ward": ward, "site": site}, ["accuracy"], patient)
    both = found[found["column"] == "ward"]
    assert both["n_groups"].tolist() == [35, 5]
    assert both["score"].notna().all()
    assert both[["low", "high"]].notna().all(axis=1).tolist() == [True, False]
    assert both[["gap", "gap_low", "gap_high", "p", "p_holm"]].isna().all(axis=None)
    assert found.loc[found["column"] == "site", "p_holm"].notna().all()
    told = list(subgroup_findings(found, "vgg16"))
    assert [(one.code, one.severity) for one in told] == [("subgroups.few", "note")]
    assert "`ward`: small (5 groups): fewer than 6 groups" in told[0].message


def test_images_of_which_nothing_is_known_and_columns_with_one_value_are_left_out():
    own, site, patient = clinic(40)
    partly = np.where(np.arange(240) < 60, None, site)
    found = subgroup_scores(own, TWO, {"partly": partly, "all one": np.full(240, "x", object)}, ["accuracy"], patient)
    assert found["column"].tolist() == ["partly", "partly"]
    assert found["n_images"].sum() == 180
    nothing = subgroup_scores(own, TWO, {"none": np.full(240, None)}, ["accuracy"], patient)
    assert tuple(nothing.columns) == COLUMNS
    assert not len(nothing)


def test_grades_several_labels_and_many_values():
    random = np.random.default_rng(0)
    grade, taken = random.integers(0, 3, (2, 300))
    grades = Predictions(grade, np.eye(3)[taken], taken)
    many = random.integers(0, 200, 300).astype(str).astype(object)
    found = subgroup_scores(grades, GRADES, {"many": many}, ["quadratic_kappa", "mean_absolute_error"])
    assert found["value"].nunique() == MOST_VALUES
    labels, told = random.integers(0, 2, (2, 300, 2))
    leaves = Predictions(labels, told.astype(float), told)
    site = np.where(np.arange(300) < 100, "A", "B").astype(object)
    found = subgroup_scores(leaves, LEAVES, {"site": site}, ["f1_macro", "hamming_loss"])
    assert found["p"].notna().all()
    with pytest.raises(ValueError):
        subgroup_scores(leaves, LEAVES, {"site": site}, ["accuracy"])
    with pytest.raises(InputError):
        subgroup_scores(leaves, LEAVES, {"site": site}, ["acuracy"])


def test_the_same_seed_gives_the_same_figures():
    own, site, patient = clinic()
    first, again, other = (
        subgroup_scores(own, TWO, {"site": site}, ["roc_auc"], patient, seed=seed) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first["low"].equals(other["low"])


def test_words_and_few_numbers_are_values_and_many_numbers_are_ranges():
    assert subgroup_values(pd.Series(["A", None, "b ", "", "NA"], dtype=object)).tolist() == [
        "A",
        None,
        "b",
        None,
        None,
    ]
    assert subgroup_values(pd.Series(["1", "2", "1"])).tolist() == ["1", "2", "1"]
    ages = subgroup_values(pd.Series([str(age) for age in range(20, 60)] + [None]))
    assert ages[-1] is None
    assert sorted(set(ages[:-1])) == ["20 to 29", "30 to 39", "40 to 49", "50 to 59"]
    widths = subgroup_values(pd.Series([512] * 50 + list(range(600, 610))))
    assert set(widths) == {"512", "600 to 609"}
    assert subgroup_values(pd.Series([str(age) for age in range(20, 60)] + ["old"])).tolist()[-2:] == ["59", "old"]

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tasks.evaluation.calibration import confidence, expected_calibration_error, reliability
from tasks.evaluation.metrics import METRIC_NAMES, higher_is_better, metric_range, metrics_of, score
from tasks.evaluation.outputs import class_probabilities, decide

LABELS = ["rust", "scab", "spot", "mould"]
GRADES = ["0", "1", "2", "3", "4"]


def several(n=80, seed=0):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n, len(LABELS))) < [0.2, 0.5, 0.4, 0.1]).astype(int)
    y_prob = np.clip(0.6 * y_true + 0.6 * rng.random(y_true.shape) - 0.1, 0, 1)
    return y_true, y_prob


def grades(n=90, seed=0):
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, len(GRADES), n)
    reached = 1 / (1 + np.exp(-(y_true[:, None] - np.arange(len(GRADES)) + 0.5 + rng.normal(0, 0.8, (n, 5)))))
    return y_true, class_probabilities(reached, "ordinal")


def test_every_metric_of_several_labels_is_scikit_learns():
    y, prob = several()
    pred = decide(prob, "multilabel", [0.3, 0.5, 0.6, 0.4])
    found = score(y, prob, LABELS, kind="multilabel", y_pred=pred)
    expected = {
        "subset_accuracy": sk.accuracy_score(y, pred),
        "hamming_loss": sk.hamming_loss(y, pred),
        "roc_auc": sk.roc_auc_score(y, prob, average="macro"),
        "average_precision": sk.average_precision_score(y, prob, average="macro"),
        "f1_macro": sk.f1_score(y, pred, average="macro"),
        "precision_macro": sk.precision_score(y, pred, average="macro"),
        "recall_macro": sk.recall_score(y, pred, average="macro"),
        "log_loss": np.mean([sk.log_loss(y[:, i], prob[:, i]) for i in range(4)]),
        "brier": np.mean([sk.brier_score_loss(y[:, i], prob[:, i]) for i in range(4)]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert [name for name in found if "/" not in name] == list(metrics_of("multilabel")) == [*expected, "ece"]
    for part, values in {
        "f1": sk.f1_score(y, pred, average=None),
        "precision": sk.precision_score(y, pred, average=None),
        "recall": sk.recall_score(y, pred, average=None),
        "roc_auc": sk.roc_auc_score(y, prob, average=None),
    }.items():
        assert [found[f"{part}/{label}"] for label in LABELS] == pytest.approx(list(values))
    assert len(found) == 10 + 4 * 4


def test_without_decisions_labels_are_given_from_one_half_on():
    y, prob = several()
    pred = (prob >= 0.5).astype(int)
    assert score(y, prob, LABELS, kind="multilabel") == score(y, prob, LABELS, kind="multilabel", y_pred=pred)


def test_the_thresholds_move_the_decisions_and_no_figure_of_the_probabilities():
    y, prob = several()
    decided = [decide(prob, "multilabel", at) for at in (0.2, 0.8)]
    low, high = (score(y, prob, LABELS, kind="multilabel", y_pred=pred) for pred in decided)
    assert low["recall_macro"] > high["recall_macro"]
    assert all(low[name] == high[name] for name in ("roc_auc", "average_precision", "log_loss", "brier"))


@pytest.mark.filterwarnings("error")
def test_labels_without_an_image_are_left_out_of_the_averages():
    y = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]])
    prob = np.array([[0.9, 0.1, 0.9], [0.2, 0.2, 0.8], [0.4, 0.7, 0.9], [0.1, 0.1, 0.2]])
    found = score(y, prob, list("abc"), kind="multilabel")
    assert {"recall/b", "roc_auc/b", "roc_auc/c"}.isdisjoint(found)
    assert found["roc_auc"] == found["roc_auc/a"] == 1
    assert found["average_precision"] == pytest.approx(1)
    assert found["f1/b"] == found["precision/b"] == 0
    assert found["recall_macro"] == pytest.approx((0.5 + 0.75) / 2)
    assert found["subset_accuracy"] == 0.5
    assert found["hamming_loss"] == pytest.approx(3 / 12)


@pytest.mark.filterwarnings("error")
def test_images_without_any_label_have_only_the_figures_that_need_none():
    found = score(np.zeros((3, 2), int), np.full((3, 2), 0.1), ["a", "b"], kind="multilabel")
    assert set(found) == {"subset_accuracy", "hamming_loss", "log_loss", "brier", "ece"}
    assert found["subset_accuracy"] == 1
    assert found["ece"] == pytest.approx(0.1)


@pytest.mark.filterwarnings("error")
def test_two_labels_that_do_not_exclude_each_other_have_an_area_each():
    y, prob = several()
    found = score(y[:, :2], prob[:, :2], LABELS[:2], kind="multilabel")
    assert found["roc_auc"] == pytest.approx((found["roc_auc/rust"] + found["roc_auc/scab"]) / 2)


@pytest.mark.filterwarnings("error")
def test_certain_and_wrong_decisions_have_a_finite_loss():
    found = score(np.array([[1, 0], [0, 1]]), np.array([[0.0, 1.0], [1.0, 0.0]]), ["a", "b"], kind="multilabel")
    assert 30 < found["log_loss"] < 40
    assert (found["brier"], found["hamming_loss"], found["ece"]) == (1, 1, 1)


def test_every_metric_of_grades_is_scikit_learns_on_the_grades_decided():
    y, prob = grades()
    pred = decide(prob, "ordinal")
    assert (pred != prob.argmax(axis=1)).any()
    found = score(y, prob, GRADES, kind="ordinal")
    expected = {
        "accuracy": sk.accuracy_score(y, pred),
        "balanced_accuracy": sk.balanced_accuracy_score(y, pred),
        "f1_macro": sk.f1_score(y, pred, average="macro"),
        "cohen_kappa": sk.cohen_kappa_score(y, pred),
        "matthews_corrcoef": sk.matthews_corrcoef(y, pred),
        "roc_auc": sk.roc_auc_score(y, prob, multi_class="ovr"),
        "quadratic_kappa": sk.cohen_kappa_score(y, pred, weights="quadratic"),
        "mean_absolute_error": sk.mean_absolute_error(y, pred),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert [name for name in found if "/" not in name] == list(metrics_of("ordinal"))
    assert set(metrics_of("ordinal")) - set(metrics_of("multiclass")) == {"quadratic_kappa", "mean_absolute_error"}


def test_absent_grades_keep_the_distance_between_the_others():
    prob = np.eye(5)
    found = score(np.array([0, 4, 0, 3]), prob[[0, 3, 4, 3]], GRADES, kind="ordinal")
    observed = np.array([0, 1, 16, 0]).sum() / 4
    by_chance = np.mean([(a - b) ** 2 for a in (0, 4, 0, 3) for b in (0, 3, 4, 3)])
    assert found["quadratic_kappa"] == pytest.approx(1 - observed / by_chance)
    assert found["mean_absolute_error"] == 5 / 4


@pytest.mark.filterwarnings("error")
def test_one_grade_alone_has_no_agreement_by_chance():
    found = score(np.array([2, 2]), np.eye(5)[[2, 2]], GRADES, kind="ordinal")
    assert {"quadratic_kappa", "cohen_kappa", "roc_auc"}.isdisjoint(found)
    assert found["mean_absolute_error"] == 0


@pytest.mark.parametrize("kind", ["multiclass", "ordinal", "multilabel"])
def test_perfect_predictions_reach_the_good_end_of_every_range(kind):
    y, prob = several() if kind == "multilabel" else grades()
    sure = y.astype(float) if kind == "multilabel" else np.eye(5)[y]
    names = LABELS if kind == "multilabel" else GRADES
    for name, value in score(y, sure, names, kind=kind).items():
        assert value == pytest.approx(metric_range(name, len(names))[1 if higher_is_better(name) else 0])
    for name, value in score(y, prob, names, kind=kind).items():
        low, high = metric_range(name, len(names))
        assert low <= value <= high
    assert set(metrics_of(kind)) <= set(METRIC_NAMES)


def test_the_worst_mean_error_is_the_distance_between_the_outer_grades():
    found = score(np.array([0, 4]), np.eye(5)[[4, 0]], GRADES, kind="ordinal")
    assert found["mean_absolute_error"] == metric_range("mean_absolute_error", 5)[1] == 4
    assert metric_range("mean_absolute_error") == (0, math.inf)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from(["multilabel", "ordinal", "multiclass"]))
def test_no_figure_is_ever_nan_or_out_of_range(seed, n, kind):
    rng = np.random.default_rng(seed)
    outputs = rng.choice([0.0, 0.2, 0.5, 1.0], (n, 3))
    outputs[:, 0] = np.maximum(outputs[:, 0], 0.2)
    prob = class_probabilities(outputs, kind)
    y = rng.integers(0, 2, (n, 3)) if kind == "multilabel" else rng.integers(0, 3, n)
    for name, value in score(y, prob, list("abc"), kind=kind).items():
        low, high = metric_range(name, 3)
        assert low - 1e-12 <= value <= high + 1e-12, name


def test_the_confidence_is_that_of_what_was_decided():
    prob = np.array([[0.3, 0.1], [0.6, 0.9]])
    assert confidence(prob, np.array([[1, 0], [0, 1]])).tolist() == [[0.3, 0.9], [0.4, 0.9]]
    assert confidence(np.array([[0.42, 0.13, 0.45]]), np.array([1])).tolist() == [0.13]


def test_every_decision_of_a_label_counts_for_the_calibration():
    y, pred = np.array([[1, 0], [0, 0]]), np.array([[1, 0], [1, 0]])
    prob = np.array([[0.35, 0.05], [0.35, 0.05]])
    bins = reliability(y, prob, pred, 10)
    assert bins["count"].sum() == 4
    assert bins["accuracy"][[3, 9]].tolist() == [0.5, 1]
    assert expected_calibration_error(y, prob, pred, 10) == pytest.approx((0.15 + 0.05) / 2)


@pytest.mark.parametrize(
    ("y_true", "y_prob", "kind", "y_pred"),
    [
        ([[0, 2]], [[0.5, 0.5]], "multilabel", None),
        ([[0, 1, 1]], [[0.5, 0.5, 0.5]], "multilabel", None),
        ([0], [[0.5, 0.5]], "multilabel", None),
        ([[0, 1]], [[0.5, 1.5]], "multilabel", None),
        ([[0, 1]], [[0.5, np.nan]], "multilabel", None),
        ([[0, 1]], [[0.5, 0.5]], "multilabel", [[0, 2]]),
        ([[0, 1]], [[0.5, 0.5]], "multilabel", [0]),
        ([[0, 1]], [[0.5, 0.5]], "ordinal", None),
        ([1], [[0.5, 0.5]], "ordinal", [2]),
        ([1], [[0.5, 0.5]], "multiclass", [-1]),
        ([1], [[0.5, 0.5]], "multiclass", [0.5]),
    ],
)
def test_parts_that_do_not_fit_the_kind_are_refused(y_true, y_prob, kind, y_pred):
    with pytest.raises(ValueError):
        score(np.array(y_true), np.array(y_prob), ["a", "b"], kind=kind, y_pred=y_pred)

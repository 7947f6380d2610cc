import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name
from sklearn import metrics as sk

from tasks.config import InputError
from tasks.evaluation.metrics import (
    expected_calibration_error,
    higher_is_better,
    metric_key,
    metric_range,
    metrics_of,
    score,
)


def predictions(n, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    y_true = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    raw = rng.random((n, n_classes)) + np.eye(n_classes)[y_true] * 0.5
    return y_true, raw / raw.sum(axis=1, keepdims=True)


def test_a_hand_made_binary_case():
    y_true = np.array([0, 0, 1, 1])
    positive = np.array([0.1, 0.6, 0.4, 0.9])
    found = score(y_true, np.stack([1 - positive, positive], axis=1), ["no", "yes"])
    assert found["accuracy"] == 0.5
    assert found["roc_auc"] == 0.75
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["cohen_kappa"] == 0
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert found["log_loss"] == pytest.approx(-(2 * math.log(0.9) + 2 * math.log(0.4)) / 4)
    assert found["f1/yes"] == found["precision/no"] == found["recall/no"] == 0.5
    assert "roc_auc/yes" not in found


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_every_metric_is_scikit_learns(n_classes):
    classes = [f"class {i}" for i in range(n_classes)]
    y, prob = predictions(60, n_classes)
    pred = prob.argmax(axis=1)
    found = score(y, prob, classes)
    side = prob[:, 1] if n_classes == 2 else prob
    several = {} if n_classes == 2 else {"multi_class": "ovr"}
    expected = {
        "accuracy": sk.accuracy_score(y, pred),
        "balanced_accuracy": sk.balanced_accuracy_score(y, pred),
        "roc_auc": sk.roc_auc_score(y, side, **several),
        "average_precision": sk.average_precision_score(y, side),
        "f1_macro": sk.f1_score(y, pred, average="macro"),
        "precision_macro": sk.precision_score(y, pred, average="macro"),
        "recall_macro": sk.recall_score(y, pred, average="macro"),
        "cohen_kappa": sk.cohen_kappa_score(y, pred),
        "matthews_corrcoef": sk.matthews_corrcoef(y, pred),
        "log_loss": sk.log_loss(y, prob),
        "brier": sk.brier_score_loss(y, side),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert [name for name in found if "/" not in name] == list(metrics_of("multiclass"))
    assert [found[f"recall/{label}"] for label in classes] == pytest.approx(sk.recall_score(y, pred, average=None))
    assert len(found) == len(metrics_of("multiclass")) + n_classes * (3 if n_classes == 2 else 4)


@pytest.mark.filterwarnings("error")
def test_figures_of_an_absent_class_are_left_out_and_averages_are_over_the_others():
    y_true = np.array([0, 0, 1, 1])
    prob = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    found = score(y_true, prob, ["a", "b", "c"])
    assert {"recall/c", "roc_auc/c"}.isdisjoint(found)
    assert found["f1/c"] == found["precision/c"] == 0
    assert found["recall_macro"] == found["balanced_accuracy"] == 0.75
    assert found["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["roc_auc"] == pytest.approx((1 + found["roc_auc/b"]) / 2)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.filterwarnings("error")
def test_a_class_neither_true_nor_predicted_has_no_figures():
    found = score(np.array([0, 1]), np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), ["a", "b", "c"])
    assert not [name for name in found if name.endswith("/c")]
    assert found["f1_macro"] == 1


@pytest.mark.filterwarnings("error")
def test_images_of_one_class_alone_give_no_area_and_no_agreement_by_chance():
    found = score(np.array([1, 1]), np.array([[0.1, 0.9], [0.2, 0.8]]), ["a", "b"])
    assert {"roc_auc", "cohen_kappa", "matthews_corrcoef"}.isdisjoint(found)
    assert found["accuracy"] == found["balanced_accuracy"] == 1


@pytest.mark.filterwarnings("error")
def test_a_probability_of_zero_for_the_truth_gives_a_finite_loss():
    found = score(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]), ["a", "b"])
    assert 10 < found["log_loss"] < 100
    assert found["brier"] == 0.5
    assert found["precision/b"] == 0


def test_calibration_error_of_a_known_case():
    confident = np.array([[0.9, 0.1]] * 10)
    assert expected_calibration_error(np.array([0] * 9 + [1]), confident) == pytest.approx(0)
    assert expected_calibration_error(np.array([0] * 5 + [1] * 5), confident) == pytest.approx(0.4)
    two_bins = np.array([[0.9, 0.1]] * 5 + [[0.4, 0.6]] * 5)
    assert expected_calibration_error(np.zeros(10, int), two_bins) == pytest.approx(0.5 * 0.1 + 0.5 * 0.6)


def test_float32_probabilities_are_as_good_as_float64():
    y, prob = predictions(50, 4)
    assert score(y, prob.astype(np.float32), list("abcd")) == pytest.approx(score(y, prob, list("abcd")), abs=1e-6)


@pytest.mark.parametrize(
    ("y_true", "y_prob"),
    [
        (np.array([0, 2]), np.array([[0.5, 0.5], [0.5, 0.5]])),
        (np.array([0, -1]), np.array([[0.5, 0.5], [0.5, 0.5]])),
        (np.array([0.0, 1.0]), np.array([[0.5, 0.5], [0.5, 0.5]])),
        (np.array([0, 1]), np.array([[0.5, 0.5]])),
        (np.array([0, 1]), np.array([[0.9, 0.9], [0.5, 0.5]])),
        (np.array([0, 1]), np.array([[np.nan, 0.5], [0.5, 0.5]])),
        (np.array([0, 1]), np.array([[1.5, -0.5], [0.5, 0.5]])),
        (np.array([], int), np.zeros((0, 2))),
    ],
)
def test_predictions_that_make_no_sense_are_refused(y_true, y_prob):
    with pytest.raises(ValueError):
        score(y_true, y_prob, ["a", "b"])


def test_every_metric_has_a_range_that_holds_its_values_and_a_direction():
    y, prob = predictions(40, 3)
    for name, value in score(y, prob, ["a", "b", "c"]).items():
        low, high = metric_range(name)
        assert low <= value <= high
    perfect = score(y, np.eye(3)[y], ["a", "b", "c"])
    for name, value in perfect.items():
        assert value == pytest.approx(metric_range(name)[1 if higher_is_better(name) else 0])
    assert not higher_is_better("log_loss")


@pytest.mark.parametrize("name", ["acuracy", "accuracy/face", "brier/face", "", "f1"])
def test_an_unknown_metric_is_refused_with_the_known_names(name):
    with pytest.raises(InputError, match="balanced_accuracy"):
        higher_is_better(name)


def test_plain_labels_stay_and_others_are_told_apart():
    for label in ("face", "Größe 2", "日本", "a.b-c_d"):
        assert metric_key(label) == label
    odd = ["a/b", "a_b", "a:b", "a?b", "a b ", "a b", ".", "..", "", " ", "x" * 300, "x" * 299, "A (1)", "A [1]"]
    assert len({metric_key(label) for label in odd}) == len(odd)
    assert metric_key(metric_key("a/b")) != metric_key("a/b")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400))
def test_any_label_makes_a_name_that_mlflow_takes(label):
    name = f"inceptionresnetv2/cv/roc_auc/{metric_key(label)}_ci_high"
    _validate_metric_name(name)
    assert len(name) < MAX_ENTITY_KEY_LENGTH


def test_labels_with_odd_letters_give_all_their_figures():
    y, prob = predictions(30, 3)
    found = score(y, prob, ["a/b", "a:b", "a?b"])
    assert len([name for name in found if name.startswith("f1/")]) == 3

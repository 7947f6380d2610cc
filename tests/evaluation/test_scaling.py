from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime, brentq, minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.outputs import activated, class_probabilities, decide, logits_of
from tasks.evaluation.scaling import Scaling
from tasks.evaluation.scaling_fit import _loss, calibration_scores, fit_scaling

KINDS = ("multiclass", "multilabel", "ordinal")


def probabilities(logits, kind):
    return class_probabilities(activated(logits, kind), kind)


def sampled(p, kind, rng):
    if kind == "multilabel":
        return (rng.random(p.shape) < p).astype(int)
    return (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1).clip(max=p.shape[1] - 1)


def drawn(kind, n=4000, seed=0):
    """Labels of four classes, and the logits whose probabilities they are drawn from."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.standard_normal((n, 4))
    if kind == "ordinal":
        logits = 2 * rng.standard_normal((n, 1)) + np.array([9, 1.5, 0, -1.5])
    return sampled(probabilities(logits, kind), kind, rng), logits


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_their_logits(kind):
    _, logits = drawn(kind, 50)
    p = probabilities(logits, kind)
    np.testing.assert_allclose(probabilities(logits_of(p, kind), kind), p, atol=1e-7)
    none = Scaling(kind, "temperature", (1.0,) * 4, (0.0,) * 4)
    np.testing.assert_allclose(none.apply(p), p, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_the_gradient_of_what_is_minimised_is_that_of_its_differences(kind, method):
    rng = np.random.default_rng(3)
    logits, place = rng.standard_normal((20, 3)), np.arange(3)
    target = np.eye(3)[rng.integers(3, size=20)]
    theta = rng.standard_normal(6 if method == "vector" else 3) / 2
    value = _loss(theta, logits, target, kind, place)
    differences = approx_fprime(theta, lambda t: _loss(t, logits, target, kind, place)[0], 1e-7)
    np.testing.assert_allclose(value[1], differences, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [0.5, 2.5])
def test_a_planted_temperature_is_found(kind, factor):
    y, logits = drawn(kind)
    found = fit_scaling(y, probabilities(logits * factor, kind), kind)
    assert found.biases == (0,) * 4
    np.testing.assert_allclose(found.temperatures, factor, rtol=0.15 if kind == "multilabel" else 0.08)
    assert len(set(found.temperatures)) == (4 if kind == "multilabel" else 1)


def test_the_temperature_is_the_one_with_the_least_log_loss():
    y, logits = drawn("multiclass", 1500)
    p = probabilities(3 * logits, "multiclass")
    found = fit_scaling(y, p, "multiclass")
    oracle = minimize_scalar(lambda t: log_loss(y, probabilities(3 * logits / t, "multiclass")), bounds=(0.1, 20))
    assert found.temperatures[0] == pytest.approx(oracle.x, rel=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_planted_weights_and_biases_are_found(kind):
    weights = (1.0, 0.7, 0.7, 0.7) if kind == "ordinal" else (1.0, 0.5, 2.0, 1.5)
    planted = Scaling(kind, "vector", weights, (0.0, 1.0, -0.5, -0.5))
    p = probabilities(drawn(kind, 20000)[1], kind)
    found = fit_scaling(sampled(planted.apply(p), kind, np.random.default_rng(5)), p, kind, "vector")
    np.testing.assert_allclose(found.weights, weights, rtol=0.1)
    np.testing.assert_allclose(found.biases, planted.biases, atol=0.1)


def test_with_several_labels_vector_scaling_is_a_logistic_regression_for_each():
    y, logits = drawn("multilabel", 6000)
    found = fit_scaling(y, probabilities(2 * logits + 1, "multilabel"), "multilabel", "vector")
    for label in range(4):
        oracle = LogisticRegression(C=np.inf).fit(2 * logits[:, [label]] + 1, y[:, label])
        assert found.weights[label] == pytest.approx(oracle.coef_[0, 0], rel=5e-3)
        assert found.biases[label] == pytest.approx(oracle.intercept_[0], abs=5e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_on_other_images_every_figure_of_calibration_is_better_after_than_before(kind, method):
    fit_on, logits = drawn(kind, 800, seed=1)
    scaling = fit_scaling(fit_on, probabilities(3 * logits, kind), kind, method)
    y, others = drawn(kind, 2000, seed=2)
    p = probabilities(3 * others, kind)
    decided = decide(p, kind)
    before, after = (calibration_scores(y, x, "abcd", kind, decided) for x in (p, scaling.apply(p)))
    assert list(before) == ["log_loss", "brier", "ece", "ece_mass"]
    for name, value in after.items():
        assert value < before[name], name
    assert after["ece_mass"] < 0.05 < before["ece_mass"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_scaled_probabilities_are_probabilities_of_the_kind(kind, method):
    y, logits = drawn(kind, 200)
    p = fit_scaling(y, probabilities(logits, kind), kind, method).apply(probabilities(logits, kind))
    checked_predictions(y, p, 4, kind)
    if kind != "multilabel":
        np.testing.assert_allclose(p.sum(axis=1), 1)


@pytest.mark.parametrize(("kind", "method"), [("multiclass", "temperature"), ("ordinal", "temperature")])
def test_a_temperature_changes_no_decision(kind, method):
    y, logits = drawn(kind, 500)
    p = probabilities(3 * logits, kind)
    np.testing.assert_array_equal(decide(fit_scaling(y, p, kind, method).apply(p), kind), decide(p, kind))


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_scaled_thresholds_decide_on_scaled_labels_as_before(method):
    y, logits = drawn("multilabel", 500)
    p, thresholds = probabilities(3 * logits + 0.5, "multilabel"), np.array([0.2, 0.5, 0.6, 0.9])
    scaling = fit_scaling(y, p, "multilabel", method)
    now = scaling.apply_to_thresholds(thresholds)
    assert (np.abs(now - thresholds) > 0.01).any()
    np.testing.assert_array_equal(decide(scaling.apply(p), "multilabel", now), decide(p, "multilabel", thresholds))
    with pytest.raises(ValueError, match="without thresholds"):
        Scaling("ordinal", "temperature", (1.0,), (0.0,)).apply_to_thresholds(np.array([0.5]))


@pytest.mark.parametrize(("kind", "method"), list(itertools.product(KINDS, ["temperature", "vector"])))
def test_what_has_no_limit_stays_within_bounds(kind, method):
    # Certain and right, one class without an image, and probabilities of exactly 0 and 1.
    y = np.array([0, 1, 0, 1] * 10)
    p = np.eye(3)[y]
    if kind == "multilabel":
        y = np.eye(3, dtype=int)[y]
    found = fit_scaling(y, p, kind, method)
    assert np.isfinite(found.weights).all()
    assert np.isfinite(found.biases).all()
    np.testing.assert_array_equal(decide(found.apply(p), kind), decide(p, kind))
    unsure = np.tile([0.4, 0.3, 0.3], (40, 1)) if kind != "multilabel" else np.full((40, 3), 0.5)
    again = fit_scaling(y, unsure, kind, method)
    checked_predictions(y, again.apply(unsure), 3, kind)
    if kind == "multilabel":
        assert again.weights == (1, 1, 1)
        # The bias b of a label that none of 40 images has: b + 40 / (1 + exp(-b)) = 0.
        expected = (0, 0, 0) if method == "temperature" else (0, 0, brentq(lambda b: b + 40 / (1 + np.exp(-b)), -9, 0))
        assert again.biases == pytest.approx(expected, abs=1e-4)


def test_one_wrong_certain_image_does_not_outweigh_all_others():
    y, logits = drawn("multiclass", 1000)
    p = probabilities(logits, "multiclass")
    p[0], y[0] = np.eye(4)[0], 1
    assert 0.9 < fit_scaling(y, p, "multiclass").temperatures[0] < 1.6


def test_columns_that_do_not_fit_are_refused():
    scaling = Scaling("multiclass", "temperature", (0.5, 0.5), (0.0, 0.0))
    with pytest.raises(ValueError, match="expected 2 columns"):
        scaling.apply(np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="rows sum to 1"):
        fit_scaling(np.array([0]), np.array([[0.9, 0.9]]), "multiclass")


ALONE = """
import importlib.util, json, sys
sys.path.append(sys.argv[1])
assert importlib.util.find_spec("tasks") is None
spec = importlib.util.spec_from_file_location("outputs", sys.argv[2])
outputs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(outputs)
asked = json.load(sys.stdin)
print(json.dumps([outputs.scaled(p, kind, weights, biases).tolist() for p, kind, weights, biases in asked]))
"""


def test_what_a_saved_model_needs_works_in_a_lone_file_without_foldcam(tmp_path):
    asked, expected = [], []
    for kind in KINDS:
        p = probabilities(drawn(kind, 20)[1], kind)
        scaling = Scaling(kind, "vector", (1.0, 0.5, 2.0, 1.5), (0.0, 1.0, -0.5, 0.25))
        asked.append([p.tolist(), kind, scaling.weights, scaling.biases])
        expected.append(scaling.apply(p).tolist())
    lone = shutil.copy(find_spec("tasks.evaluation.outputs").origin, tmp_path)
    packages = str(Path(np.__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", ALONE, packages, lone]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected

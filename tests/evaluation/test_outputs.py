"""What a network's outputs say, for each kind of labels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, softmax

from tasks.evaluation import outputs
from tasks.evaluation.outputs import (
    activated,
    class_probabilities,
    class_scores,
    decide,
    encode,
    explained_class,
    right,
)

KINDS = ("multiclass", "multilabel", "ordinal")
shares = hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 7)), elements=st.floats(0, 1))


def studied_grade(row):
    """Study C's rule: how many outputs pass one half, counted from the lowest up to the first that does not, less 1."""
    count = 0
    for value in row:
        if value <= 0.5:
            break
        count += 1
    return max(count - 1, 0)


@given(st.integers(2, 9), st.data())
def test_grades_come_back_from_their_encoding(n_grades, data):
    y = np.array(data.draw(st.lists(st.integers(0, n_grades - 1), min_size=1, max_size=8)))
    code = encode(y, "ordinal", n_grades)
    assert code.dtype == np.float32
    np.testing.assert_array_equal(code.sum(axis=1), y + 1)
    assert (np.diff(code, axis=1) <= 0).all()
    np.testing.assert_array_equal(decide(class_probabilities(code, "ordinal"), "ordinal"), y)


@given(shares)
def test_grades_are_decoded_as_the_study_does_with_its_lowest_clamped(found):
    wanted = [studied_grade(row) for row in found]
    near = np.abs(found - 0.5).min(initial=1) < 1e-9
    if not near:
        np.testing.assert_array_equal(decide(class_probabilities(found, "ordinal"), "ordinal"), wanted)


@given(shares)
def test_probabilities_of_grades_sum_to_one_and_none_is_negative(found):
    given_back = class_probabilities(found, "ordinal")
    assert (given_back >= 0).all()
    np.testing.assert_allclose(given_back.sum(axis=1), 1, atol=1e-12)


def test_a_higher_grade_is_never_reached_over_a_lower_one_that_is_not():
    jumping = np.array([[1.0, 0.2, 0.9, 0.9, 0.9]])
    assert decide(class_probabilities(jumping, "ordinal"), "ordinal").tolist() == [0]


@given(shares)
def test_labels_stand_each_for_itself(found):
    np.testing.assert_array_equal(class_probabilities(found, "multilabel"), found)
    thresholds = np.linspace(0.1, 0.9, found.shape[1])
    decided = decide(found, "multilabel", thresholds)
    for column, threshold in enumerate(thresholds):
        np.testing.assert_array_equal(decided[:, column], found[:, column] >= threshold)


def test_activations_are_scipys():
    logits = np.random.default_rng(0).normal(scale=30, size=(50, 4)).astype(np.float32)
    np.testing.assert_allclose(activated(logits, "multiclass"), softmax(logits.astype(float), axis=1), rtol=1e-13)
    for kind in ("multilabel", "ordinal"):
        np.testing.assert_allclose(activated(logits, kind), expit(logits.astype(float)), rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_huge_logits_give_no_nan(kind):
    found = class_probabilities(activated(np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]), kind), kind)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_one_class_of_several_is_the_likeliest():
    found = np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]])
    assert decide(found, "multiclass").tolist() == [1, 0]
    assert explained_class(found, "multiclass").tolist() == [1, 0]


def test_several_labels_are_explained_by_the_one_furthest_above_its_threshold():
    found = np.array([[0.9, 0.5], [0.1, 0.05]])
    assert explained_class(found, "multilabel", [0.8, 0.2]).tolist() == [1, 1]


def test_an_image_is_right_when_all_its_labels_are():
    assert right([1, 2], [1, 0]).tolist() == [True, False]
    assert right([[1, 0], [1, 1]], [[1, 0], [1, 0]]).tolist() == [True, False]


def test_what_speaks_for_a_grade_is_reaching_it_and_for_the_lowest_not_reaching_the_next():
    logits = np.array([[7.0, 2.0, -3.0]])
    assert (logits @ class_scores("ordinal", 3)).tolist() == [[-2.0, 2.0, -3.0]]
    for kind in ("multiclass", "multilabel"):
        np.testing.assert_array_equal(class_scores(kind, 4), np.eye(4))


def test_a_broken_network_is_not_hidden():
    for kind in KINDS:
        assert np.isnan(class_probabilities(np.full((1, 3), np.nan), kind)).any()


def test_inputs_are_not_changed():
    for kind in KINDS:
        found = np.full((2, 3), 0.25)
        class_probabilities(found, kind)
        assert (found == 0.25).all()


def test_the_file_travels_alone():
    program = f"""
import importlib.util, sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("tasks", "flows", "scipy", "sklearn", "keras", "tensorflow"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
spec = importlib.util.spec_from_file_location("shipped", {outputs.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.decide(module.class_probabilities(module.activated([[5.0, 1.0, -4.0]], "ordinal"), "ordinal"), "ordinal"))
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert shown.stdout.strip() == "[1]"

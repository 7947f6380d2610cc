from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tasks.config import InputError
from tasks.evaluation.outputs import decide
from tasks.evaluation.thresholds import given_thresholds, tuned_thresholds


def tuned(y, p):
    return tuned_thresholds(np.array(y)[:, None], np.array(p)[:, None])[0]


def test_the_threshold_lies_midway_between_the_neighbours_of_the_best_cut():
    assert tuned([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.9]) == pytest.approx(0.25)
    assert tuned([0, 1, 0, 1, 1], [0.1, 0.6, 0.65, 0.7, 0.9]) == pytest.approx(0.35)


def test_of_equally_good_cuts_the_one_nearest_to_one_half_is_taken():
    # Giving the first alone or all four: F1 is 2/3 both times.
    y, p = [1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6]
    assert [f1_score(y, np.array(p) >= at) for at in (0.85, 0.3)] == pytest.approx([2 / 3, 2 / 3])
    assert tuned(y, p) == pytest.approx(0.3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1]])
def test_a_label_that_no_image_or_every_image_has_keeps_one_half(y):
    assert tuned(y, [0.9, 0.2, 0.1]) == 0.5


def test_neighbours_with_no_number_between_them_are_still_parted():
    low = 0.3
    high = np.nextafter(low, 1)
    at = tuned([0, 1], [low, high])
    assert low < at <= high


def test_each_label_has_a_threshold_of_its_own_and_in_their_order():
    y = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]])
    p = np.array([[0.1, 0.9, 0.9], [0.1, 0.7, 0.1], [0.3, 0.9, 0.1], [0.3, 0.7, 0.1]], dtype=np.float32)
    np.testing.assert_allclose(tuned_thresholds(y, p), [0.2, 0.8, 0.5], atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=2, max_size=12))
def test_no_other_threshold_has_a_better_f1(pairs):
    y, p = np.array([pair[0] for pair in pairs], dtype=int), np.array([pair[1] for pair in pairs])
    at = tuned(y, p)
    assert 0 <= at <= 1
    if 0 < y.sum() < len(y):
        best = max(f1_score(y, p >= other, zero_division=0) for other in set(p))
        given_labels = decide(p[:, None], "multilabel", [at])[:, 0]
        assert f1_score(y, given_labels, zero_division=0) == pytest.approx(best)


def test_given_thresholds_stand_in_the_order_of_the_labels():
    assert given_thresholds(0.3, ["a", "b"]).tolist() == [0.3, 0.3]
    assert given_thresholds(None, ["a", "b"]).tolist() == [0.5, 0.5]
    assert given_thresholds({"b": 0.1, "a": 0.9}, ["a", "b"]).tolist() == [0.9, 0.1]


@pytest.mark.parametrize(
    ("setting", "told"), [({"a": 0.1}, "leaves out 'b'"), ({"a": 0.1, "b": 0.2, "c": 0.3}, "names 'c', which is no")]
)
def test_a_label_without_a_threshold_or_the_other_way_round_is_refused(setting, told):
    with pytest.raises(InputError, match=told):
        given_thresholds(setting, ["a", "b"])

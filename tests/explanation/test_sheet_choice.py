"""Which images stand on sheets: from plain arrays, always the same ones."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.explanation.sheet_choice import choose_by_class, choose_right, choose_shared_mistakes, choose_wrong

RIGHT = np.array([True, False, True, False, False, True, False])
SURE = np.array([0.9, 0.6, 0.99, 0.95, 0.6, 0.5, np.nan])


def test_the_most_confident_mistakes_come_first_and_equal_ones_as_given():
    assert choose_wrong(RIGHT, SURE).tolist() == [3, 1, 4, 6]
    assert choose_wrong(RIGHT, SURE, 2).tolist() == [3, 1]
    assert choose_wrong(RIGHT, SURE, 0).tolist() == []
    assert choose_wrong(np.ones(7, bool), SURE).tolist() == []
    assert choose_wrong(np.zeros(0, bool), np.zeros(0)).tolist() == []


def test_right_ones_are_the_most_confident_too():
    assert choose_right(RIGHT, SURE).tolist() == [2, 0, 5]
    assert choose_right(RIGHT, SURE, 2).tolist() == [2, 0]


def test_of_right_ones_the_classes_take_turns():
    sure = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    true = np.array(["cat", "cat", "cat", "dog", "dog", "rare"])
    right = np.ones(6, bool)
    assert choose_right(right, sure, 3, true).tolist() == [0, 3, 5]
    assert choose_right(right, sure, 4, true).tolist() == [0, 1, 3, 5]
    assert choose_right(right, sure, 100, true).tolist() == [0, 1, 2, 3, 4, 5]
    assert choose_right(np.arange(6) != 0, sure, 2, true).tolist() == [1, 3]
    assert choose_right(right, np.full(6, 0.5), 4, true).tolist() == [0, 1, 3, 5]


def test_the_first_images_stand_for_each_class():
    y = np.array([2, 0, 2, 2, 0])
    assert [rows.tolist() for rows in choose_by_class(y, 4)] == [[1], [], [0], []]
    assert [rows.tolist() for rows in choose_by_class(y, 3, 2)] == [[1, 4], [], [0, 2]]
    labels = np.array([[0, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert [rows.tolist() for rows in choose_by_class(labels, 3, 2)] == [[1], [1, 2], []]


def test_shared_mistakes_are_those_that_more_than_half_of_the_backbones_make():
    right = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    sure = np.full((6, 4), 0.5)
    sure[2, 3] = 1.0
    sure[3, :3] = 0.8
    sure[4] = [np.nan, np.nan, np.nan, 0.9]
    sure[5] = 1.0
    assert choose_shared_mistakes(right, sure).tolist() == [4, 0, 3, 2]
    assert choose_shared_mistakes(right, sure, 2).tolist() == [4, 0]


def test_an_image_without_any_result_is_no_mistake():
    assert choose_shared_mistakes(np.zeros((1, 2), bool), np.full((1, 2), np.nan)).tolist() == []
    assert choose_shared_mistakes(np.zeros((0, 2), bool), np.zeros((0, 2))).tolist() == []


def test_arrays_that_do_not_fit_together_are_refused():
    for choose in (choose_wrong, choose_right, choose_shared_mistakes):
        with pytest.raises(ValueError, match="do not fit together"):
            choose(RIGHT, SURE[:3])
    with pytest.raises(ValueError, match="2 classes do not fit to 7 images"):
        choose_right(RIGHT, SURE, 2, np.array(["a", "b"]))
    with pytest.raises(ValueError, match="2 columns of labels"):
        choose_by_class(np.zeros((4, 2)), 3)

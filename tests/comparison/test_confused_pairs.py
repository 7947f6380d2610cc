from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.comparison.errors.confused_pairs import COLUMNS, confused_pairs
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions

ANIMALS = Targets(("cat", "dog", "bird"))
LEAVES = Targets(("rust", "scab", "mould"), "multilabel")


def given(y_true, y_pred, n_classes=3):
    y_true, y_pred = np.array(y_true), np.array(y_pred)
    return Predictions(y_true, np.full((len(y_true), n_classes), 1 / n_classes), y_pred)


def wilson(k, n, z=1.959963984540054):
    """Wilson (1927): the solutions of (share - p)² = z² p (1 - p) / n."""
    share = k / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def test_the_most_confused_pair_comes_first_with_its_share_of_the_true_class():
    truth = [0] * 10 + [1] * 5 + [2] * 5
    taken = [1] * 3 + [2] * 1 + [0] * 6 + [0] * 2 + [1] * 3 + [2] * 5
    found = confused_pairs(given(truth, taken), ANIMALS)
    assert tuple(found.columns) == COLUMNS
    assert found[["true", "predicted", "n_confused", "n_of_true", "share", "n_groups"]].values.tolist() == [
        ["cat", "dog", 3, 10, 0.3, 10],
        ["dog", "cat", 2, 5, 0.4, 5],
        ["cat", "bird", 1, 10, 0.1, 10],
    ]
    for row in found.itertuples():
        assert (row.low, row.high) == pytest.approx(wilson(row.n_confused, row.n_of_true))
    assert len(confused_pairs(given(truth, taken), ANIMALS, most=2)) == 2


def test_images_of_one_group_widen_the_interval_and_few_groups_give_none():
    random = np.random.default_rng(0)
    wrong = np.repeat(random.random(30) < 0.4, 10)
    patients = np.repeat(np.arange(30).astype(str).astype(object), 10)
    own = given(np.zeros(300, int), wrong.astype(int))
    by_image, by_patient = confused_pairs(own, ANIMALS).iloc[0], confused_pairs(own, ANIMALS, patients).iloc[0]
    assert by_patient["share"] == by_image["share"]
    assert by_patient["n_groups"] == 30
    assert by_patient["high"] - by_patient["low"] > 2.5 * (by_image["high"] - by_image["low"])
    few = confused_pairs(own, ANIMALS, np.repeat(np.array(list("abcde"), dtype=object), 60)).iloc[0]
    assert np.isnan(few[["low", "high"]].astype(float)).all()
    assert few["n_groups"] == 5


def test_a_label_missed_and_another_added_in_the_same_image_are_a_pair():
    truth = [[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]]
    taken = [[0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]
    found = confused_pairs(given(truth, taken), LEAVES)
    assert found[["true", "predicted", "n_confused", "n_of_true"]].values.tolist() == [
        ["rust", "scab", 2, 3],
        ["mould", "scab", 1, 2],
    ]


def test_nothing_confused_is_an_empty_table():
    found = confused_pairs(given([0, 1, 2], [0, 1, 2]), ANIMALS)
    assert tuple(found.columns) == COLUMNS
    assert not len(found)


def test_the_counts_are_those_of_the_confusion_matrix():
    from sklearn.metrics import confusion_matrix

    random = np.random.default_rng(1)
    truth, taken = random.integers(0, 3, (2, 200))
    matrix = confusion_matrix(truth, taken)
    found = confused_pairs(given(truth, taken), ANIMALS)
    place = {name: number for number, name in enumerate(ANIMALS.classes)}
    assert len(found) == 6
    assert found["n_confused"].is_monotonic_decreasing
    for row in found.itertuples():
        assert row.n_confused == matrix[place[row.true], place[row.predicted]]
        assert row.n_of_true == matrix[place[row.true]].sum()

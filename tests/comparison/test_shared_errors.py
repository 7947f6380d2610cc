from __future__ import annotations

import numpy as np
import pytest

from tasks.comparison.errors.shared_errors import shared_errors
from tasks.dataset.targets import Targets
from tasks.evaluation.tables import predictions_table

ANIMALS = Targets(("cat", "dog", "bird"))
LEAVES = Targets(("rust", "scab"), "multilabel", none_label="healthy")


def table(y_true, y_pred, fold=0):
    names = [f"{number}.png" for number in range(len(y_true))]
    prob = np.full((len(y_true), 3), 0.1) + 0.7 * np.eye(3)[y_pred]
    return predictions_table(names, names, fold, np.array(y_true), prob, ANIMALS, np.array(y_pred))


def test_the_images_that_most_get_wrong_come_first_with_what_they_are_taken_for():
    truth = [0, 0, 1, 2]
    found = shared_errors(
        {"a": table(truth, [0, 1, 0, 2]), "b": table(truth, [0, 1, 2, 0]), "c": table(truth, [0, 2, 2, 2])}, ANIMALS
    )
    assert found.images[["path", "true", "n_wrong", "wrong_backbones", "taken_for", "n_agree"]].values.tolist() == [
        ["1.png", "cat", 3, "a, b, c", "dog", 2],
        ["2.png", "dog", 3, "a, b, c", "bird", 2],
        ["3.png", "bird", 1, "b", "cat", 1],
    ]
    assert found.images["probability_true"].tolist() == pytest.approx([0.1, 0.1, (0.8 + 0.8 + 0.1) / 3])
    assert found.all_wrong["path"].tolist() == ["1.png", "2.png"]
    assert (found.n_backbones, found.n_images) == (3, 4)
    assert found.expected_all_wrong == pytest.approx(4 * (2 / 4) * (3 / 4) * (2 / 4))


def test_rows_in_another_order_are_the_same_images():
    first, second = table([0, 1, 2], [1, 1, 2]), table([0, 1, 2], [1, 1, 0])
    found = shared_errors({"a": first, "b": second.iloc[::-1]}, ANIMALS)
    assert found.all_wrong["path"].tolist() == ["0.png"]


def test_separate_errors_coincide_as_often_as_expected_and_common_ones_more_often():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 20000)

    def backbone(wrong):
        return table(truth, np.where(wrong, (truth + 1) % 3, truth))

    apart = shared_errors({name: backbone(random.random(20000) < 0.3) for name in "abc"}, ANIMALS)
    assert len(apart.all_wrong) == pytest.approx(apart.expected_all_wrong, rel=0.15)
    assert apart.expected_all_wrong == pytest.approx(20000 * 0.3**3, rel=0.05)
    hard = random.random(20000) < 0.2
    common = {name: backbone(hard | (random.random(20000) < 0.1)) for name in "abc"}
    together = shared_errors(common, ANIMALS)
    assert len(together.all_wrong) > 5 * together.expected_all_wrong


def test_one_wrong_label_makes_an_image_with_several_wrong():
    names, truth = ["0.png", "1.png"], np.array([[1, 0], [1, 1]])
    prob = np.array([[0.9, 0.2], [0.7, 0.1]])
    own = predictions_table(names, names, 0, truth, prob, LEAVES, np.array([[1, 0], [1, 0]]), np.array([0.5, 0.5]))
    found = shared_errors({"a": own}, LEAVES).images
    assert found[["path", "true", "taken_for"]].values.tolist() == [["1.png", "rust scab", "rust"]]
    assert found["probability_true"].tolist() == pytest.approx([0.4])


def test_backbones_without_errors_and_backbones_of_other_folds():
    assert not len(shared_errors({"a": table([0, 1], [0, 1])}, ANIMALS).images)
    with pytest.raises(ValueError, match="folds"):
        shared_errors({"a": table([0, 1], [0, 1]), "b": table([0, 1], [0, 1], fold=1)}, ANIMALS)

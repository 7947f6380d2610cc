"""Predictions of several models are put side by side, or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.statistics.pairing import pair_predictions
from tasks.dataset.targets import Targets
from tasks.evaluation.tables import predictions_table

TARGETS = Targets(("cat", "dog"))
PATHS = [f"{number}.png" for number in range(6)]


def table(seed=0, paths=PATHS):
    rng, n = np.random.default_rng(seed), len(paths)
    share = rng.random(n)
    folds = np.arange(n) % 3
    y_prob = np.stack([share, 1 - share], axis=1)
    return predictions_table(paths, paths, folds, np.arange(n) % 2, y_prob, TARGETS, y_prob.argmax(axis=1))


def test_images_stand_in_one_order_whatever_the_order_of_the_tables():
    one, other = table(0), table(1)
    found = pair_predictions({"a": one, "b": other.sample(frac=1, random_state=0)}, TARGETS)
    assert (found.n_images, found.n_groups) == (6, 6)
    assert list(found.models) == ["a", "b"]
    np.testing.assert_array_equal(found.models["a"].y_true, found.models["b"].y_true)
    np.testing.assert_allclose(found.models["b"].y_prob[:, 0], other["prob/cat"])


def test_images_of_a_group_are_numbered_alike_and_images_without_one_stand_alone():
    groups = pd.Series(["p1", None, "p2", "p1", None, "p2", "elsewhere"], index=[*PATHS, "other.png"])
    found = pair_predictions({"a": table()}, TARGETS, groups)
    numbers = found.groups.tolist()
    assert numbers[0] == numbers[3]
    assert numbers[2] == numbers[5]
    assert len(set(numbers)) == found.n_groups == 4
    assert set(numbers) == set(range(4))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda own: own.iloc[1:], "b has no prediction for images that a has one for: 0.png"),
        (lambda own: pd.concat([own, own.iloc[:1]]), "b predicts an image more than once: 0.png"),
        (lambda own: own.replace({"path": {"0.png": "x.png"}}), "a has one for: 0.png"),
        (lambda own: own.iloc[:0], "b has no predictions"),
        (lambda own: own.assign(sha256=["changed", *PATHS[1:]]), "a and b differ in the pixels of 0.png"),
        (lambda own: own.assign(true="cat"), "differ in the true label of 1.png, 3.png, 5.png"),
        (lambda own: own.assign(fold=0), "differ in the fold of 1.png, 2.png, 4.png, 5.png"),
        (lambda own: own.assign(predicted="fox"), "fox"),
        (lambda own: own.drop(columns="prob/dog"), "prob/dog"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        pair_predictions({"a": table(0), "b": change(table(1))}, TARGETS)


def test_an_image_that_only_the_second_model_has_is_refused_too():
    with pytest.raises(ValueError, match=r"a has no prediction for images that b has one for: 0.png"):
        pair_predictions({"a": table().iloc[1:], "b": table()}, TARGETS)


def test_nothing_to_compare_and_an_unknown_group_are_refused():
    with pytest.raises(ValueError, match="no predictions to compare"):
        pair_predictions({}, TARGETS)
    with pytest.raises(ValueError, match=r"which group these images belong to: 4.png, 5.png"):
        pair_predictions({"a": table()}, TARGETS, pd.Series("p", index=PATHS[:4]))

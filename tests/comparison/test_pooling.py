from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.pooling import average_probabilities, pool_out_of_fold, predictions_of
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import class_probabilities, decide
from tasks.evaluation.tables import predictions_table

ANIMALS = Targets(("cat", "stray dog"))
LEAVES = Targets(("rust", "scab"), "multilabel", none_label="healthy")


def table(fold, **probabilities):
    paths = sorted(probabilities)
    prob = np.array([probabilities[path] for path in paths], dtype=np.float64)
    return pd.DataFrame(
        {
            "path": paths,
            "sha256": [f"sha-{path}" for path in paths],
            "fold": fold,
            "true": "cat",
            "predicted": np.where(prob >= 0.5, "cat", "stray dog"),
            "prob/cat": prob,
            "prob/stray dog": 1 - prob,
        }
    )


def test_every_image_is_there_once_in_the_order_of_paths():
    first, second = table(0, b=0.9, d=0.2), table(1, a=0.6, c=0.4)
    pooled = pool_out_of_fold([first, second], ANIMALS, expected_paths=["a", "b", "c", "d"])
    assert list(pooled["path"]) == ["a", "b", "c", "d"]
    assert list(pooled["fold"]) == [1, 0, 1, 0]
    assert list(pooled["prob/cat"]) == [0.6, 0.9, 0.4, 0.2]
    assert list(pooled.index) == [0, 1, 2, 3]


def test_the_order_of_the_tables_changes_nothing():
    tables = [table(0, b=0.9), table(1, a=0.6), table(2, c=0.6)]
    pd.testing.assert_frame_equal(pool_out_of_fold(tables, ANIMALS), pool_out_of_fold(tables[::-1], ANIMALS))


def test_a_doubled_image_is_named():
    with pytest.raises(ValueError, match="more than one fold: `a`"):
        pool_out_of_fold([table(0, a=0.9, b=0.1), table(1, a=0.6)], ANIMALS)


def test_missing_images_are_named_and_counted():
    with pytest.raises(ValueError, match=r"No prediction for `b`, `c`, `d`, `e`, `f` and 2 more"):
        pool_out_of_fold([table(0, a=0.9)], ANIMALS, expected_paths=list("abcdefgh"))


def test_an_image_that_does_not_belong_is_named():
    with pytest.raises(ValueError, match="does not belong here: `z`"):
        pool_out_of_fold([table(0, a=0.9, z=0.9)], ANIMALS, expected_paths=["a"])


@pytest.mark.parametrize("together", [pool_out_of_fold, average_probabilities])
def test_tables_must_be_there_and_have_the_same_columns(together):
    with pytest.raises(ValueError, match="no table"):
        together([], ANIMALS)
    with pytest.raises(ValueError, match="different columns"):
        together([table(0, a=0.9), table(1, b=0.9).rename(columns={"prob/cat": "prob/dog"})], ANIMALS)


def test_the_ensemble_is_the_mean_and_may_overrule_a_majority():
    tables = [table(0, a=0.55, b=0.1), table(1, a=0.52, b=0.3), table(2, a=0.01, b=0.2)]
    ensemble = average_probabilities(tables, ANIMALS)
    np.testing.assert_allclose(ensemble["prob/cat"], [0.36, 0.2])
    np.testing.assert_allclose(ensemble["prob/stray dog"], [0.64, 0.8])
    assert list(ensemble["predicted"]) == ["stray dog", "stray dog"]
    assert list(ensemble["fold"]) == [-1, -1]
    assert list(ensemble.columns) == list(tables[0].columns)


def test_the_ensemble_matches_images_by_path_whatever_the_order():
    tables = [table(0, a=0.9, b=0.3), table(1, a=0.7, b=0.2), table(2, a=0.1, b=0.1)]
    turned = [t.iloc[::-1] for t in tables[::-1]]
    pd.testing.assert_frame_equal(average_probabilities(tables, ANIMALS), average_probabilities(turned, ANIMALS))


def test_the_first_of_equal_classes_is_predicted():
    assert list(average_probabilities([table(0, a=0.0), table(1, a=1.0)], ANIMALS)["predicted"]) == ["cat"]


def test_the_ensemble_leaves_its_input_as_it_was():
    tables = [table(0, a=0.9), table(1, a=0.1)]
    before = [t.copy() for t in tables]
    average_probabilities(tables, ANIMALS)
    for was, now in zip(before, tables, strict=True):
        pd.testing.assert_frame_equal(was, now)


def test_the_ensemble_refuses_tables_of_other_images():
    with pytest.raises(ValueError, match="No prediction for `b`"):
        average_probabilities([table(0, a=0.9, b=0.1), table(1, a=0.6)], ANIMALS)
    with pytest.raises(ValueError, match="pixels or true label"):
        average_probabilities([table(0, a=0.9), table(1, a=0.6).assign(sha256="other")], ANIMALS)
    with pytest.raises(ValueError, match="twice in one table: `a`"):
        average_probabilities([pd.concat([table(0, a=0.9), table(0, a=0.8)]), table(1, a=0.6)], ANIMALS)


def leaves(fold, thresholds, **probabilities):
    paths = sorted(probabilities)
    prob = np.array([probabilities[path] for path in paths])
    given = decide(prob, "multilabel", thresholds)
    return predictions_table(paths, paths, fold, np.ones_like(given), prob, LEAVES, given, np.array(thresholds))


def test_repeated_folds_give_each_image_its_mean_and_a_new_decision():
    tables = [table(0, a=0.9, b=0.2), table(1, c=0.6), table(2, a=0.0, c=0.7), table(3, b=0.3)]
    pooled = pool_out_of_fold(tables[::-1], ANIMALS, ["a", "b", "c"] * 2)
    assert list(pooled["path"]) == ["a", "b", "c"]
    assert list(pooled["fold"]) == [0, 0, 1]
    np.testing.assert_allclose(pooled["prob/cat"], [0.45, 0.25, 0.65])
    np.testing.assert_allclose(pooled["prob/stray dog"], [0.55, 0.75, 0.35])
    assert list(pooled["predicted"]) == ["stray dog", "stray dog", "cat"]
    assert list(pooled.columns) == list(tables[0].columns)


def test_an_image_with_one_repeat_done_stands_beside_those_with_two():
    pooled = pool_out_of_fold([table(0, a=0.9), table(1, b=0.8), table(2, a=0.7)], ANIMALS, ["a", "b", "a"])
    np.testing.assert_allclose(pooled["prob/cat"], [0.8, 0.8])


@pytest.mark.parametrize(
    ("tables", "expected", "message"),
    [
        ([table(0, a=0.9), table(2, a=0.9)], "a", "more than one fold: `a`"),
        ([table(0, a=0.9, b=0.9)], "aab", "No prediction for `a`"),
        ([table(0, a=0.9), table(0, a=0.8)], "aa", "twice"),
        ([table(0, a=0.9), table(2, a=0.8).assign(true="stray dog")], "aa", "true label"),
        ([table(0, a=0.9), table(2, a=0.8).assign(sha256="other")], "aa", "pixels"),
    ],
)
def test_repeats_that_do_not_fit_the_plan_or_each_other_are_refused(tables, expected, message):
    with pytest.raises(ValueError, match=message):
        pool_out_of_fold(tables, ANIMALS, list(expected))


def test_repeats_and_ensembles_of_several_labels_decide_by_mean_thresholds():
    tables = [leaves(0, [0.2, 0.5], a=[0.3, 0.1]), leaves(2, [0.6, 0.7], a=[0.4, 0.9])]
    assert [own["predicted"].tolist() for own in tables] == [["rust"], ["scab"]]
    for found in (pool_out_of_fold(tables, LEAVES, ["a", "a"]), average_probabilities(tables, LEAVES)):
        np.testing.assert_allclose(found[["prob/rust", "prob/scab"]], [[0.35, 0.5]])
        np.testing.assert_allclose(found[["threshold/rust", "threshold/scab"]], [[0.4, 0.6]])
        assert found["predicted"].tolist() == ["healthy"]
        assert found["true"].tolist() == ["rust scab"]


def test_an_ensemble_of_grades_decides_by_the_grades_reached_and_not_by_the_likeliest():
    grades = Targets(("0", "1", "2"), "ordinal")
    prob = class_probabilities(np.array([[1.0, 0.6, 0.55], [1.0, 0.56, 0.35]]), "ordinal")
    tables = [predictions_table(["a"], ["x"], i, [2], p[None], grades, [0]) for i, p in enumerate(prob)]
    found = average_probabilities(tables, grades)
    assert found[["prob/0", "prob/1", "prob/2"]].to_numpy().argmax() == 2
    np.testing.assert_allclose(found[["prob/0", "prob/1", "prob/2"]], [[0.42, 0.13, 0.45]])
    assert found["predicted"].tolist() == ["1"]


def test_what_a_table_holds_comes_back_as_arrays():
    found = predictions_of(leaves(0, [0.2, 0.95], a=[0.3, 0.1], b=[0.1, 0.9]), LEAVES)
    assert found.y_true.tolist() == [[1, 1], [1, 1]]
    assert found.y_pred.tolist() == [[1, 0], [0, 0]]
    assert found.y_prob.tolist() == [[0.3, 0.1], [0.1, 0.9]]
    with pytest.raises(ValueError, match="'bird', which is no class"):
        predictions_of(table(0, a=0.3).assign(predicted="bird"), ANIMALS)
    with pytest.raises(ValueError, match="no column 'prob/cat'"):
        predictions_of(table(0, a=0.3).drop(columns="prob/cat"), ANIMALS)

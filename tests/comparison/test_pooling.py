from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.pooling import average_probabilities, pool_out_of_fold


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
    pooled = pool_out_of_fold([first, second], expected_paths=["a", "b", "c", "d"])
    assert list(pooled["path"]) == ["a", "b", "c", "d"]
    assert list(pooled["fold"]) == [1, 0, 1, 0]
    assert list(pooled["prob/cat"]) == [0.6, 0.9, 0.4, 0.2]
    assert list(pooled.index) == [0, 1, 2, 3]


def test_the_order_of_the_tables_changes_nothing():
    tables = [table(0, b=0.9), table(1, a=0.6), table(2, c=0.6)]
    pd.testing.assert_frame_equal(pool_out_of_fold(tables), pool_out_of_fold(tables[::-1]))


def test_a_doubled_image_is_named():
    with pytest.raises(ValueError, match="more than one fold: `a`"):
        pool_out_of_fold([table(0, a=0.9, b=0.1), table(1, a=0.6)])


def test_missing_images_are_named_and_counted():
    with pytest.raises(ValueError, match=r"No prediction for `b`, `c`, `d`, `e`, `f` and 2 more"):
        pool_out_of_fold([table(0, a=0.9)], expected_paths=list("abcdefgh"))


def test_an_image_that_does_not_belong_is_named():
    with pytest.raises(ValueError, match="does not belong here: `z`"):
        pool_out_of_fold([table(0, a=0.9, z=0.9)], expected_paths=["a"])


@pytest.mark.parametrize("together", [pool_out_of_fold, average_probabilities])
def test_tables_must_be_there_and_have_the_same_columns(together):
    with pytest.raises(ValueError, match="no table"):
        together([])
    with pytest.raises(ValueError, match="different columns"):
        together([table(0, a=0.9), table(1, b=0.9).rename(columns={"prob/cat": "prob/dog"})])


def test_the_ensemble_is_the_mean_and_may_overrule_a_majority():
    tables = [table(0, a=0.55, b=0.1), table(1, a=0.52, b=0.3), table(2, a=0.01, b=0.2)]
    ensemble = average_probabilities(tables)
    np.testing.assert_allclose(ensemble["prob/cat"], [0.36, 0.2])
    np.testing.assert_allclose(ensemble["prob/stray dog"], [0.64, 0.8])
    assert list(ensemble["predicted"]) == ["stray dog", "stray dog"]
    assert list(ensemble["fold"]) == [-1, -1]
    assert list(ensemble.columns) == list(tables[0].columns)


def test_the_ensemble_matches_images_by_path_whatever_the_order():
    tables = [table(0, a=0.9, b=0.3), table(1, a=0.7, b=0.2), table(2, a=0.1, b=0.1)]
    turned = [t.iloc[::-1] for t in tables[::-1]]
    pd.testing.assert_frame_equal(average_probabilities(tables), average_probabilities(turned))


def test_the_first_of_equal_classes_is_predicted():
    assert list(average_probabilities([table(0, a=0.0), table(1, a=1.0)])["predicted"]) == ["cat"]


def test_the_ensemble_leaves_its_input_as_it_was():
    tables = [table(0, a=0.9), table(1, a=0.1)]
    before = [t.copy() for t in tables]
    average_probabilities(tables)
    for was, now in zip(before, tables, strict=True):
        pd.testing.assert_frame_equal(was, now)


def test_the_ensemble_refuses_tables_of_other_images():
    with pytest.raises(ValueError, match="No prediction for `b`"):
        average_probabilities([table(0, a=0.9, b=0.1), table(1, a=0.6)])
    with pytest.raises(ValueError, match="pixels or true label"):
        average_probabilities([table(0, a=0.9), table(1, a=0.6).assign(sha256="other")])
    with pytest.raises(ValueError, match="twice in one table: `a`"):
        average_probabilities([pd.concat([table(0, a=0.9), table(0, a=0.8)]), table(1, a=0.6)])

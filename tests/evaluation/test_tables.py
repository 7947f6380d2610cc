import numpy as np
import pandas as pd
import pytest

from tasks.dataset.targets import Targets
from tasks.evaluation.tables import predictions_table

PROB = np.array([[0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], dtype=np.float32)


PRED = np.array([1, 0, 1])
TWO = Targets(("p", "q"))
LEAVES = Targets(("rust", "scab"), "multilabel", none_label="healthy")


def test_one_row_an_image_with_labels_as_they_are(tmp_path):
    classes = Targets(("ö/1", "b $"))
    table = predictions_table(
        ["a/1.png", "b/1.png", "c d.png"], list("xyz"), 3, np.array([1, 1, 0]), PROB, classes, PRED
    )
    assert list(table) == ["path", "sha256", "fold", "true", "predicted", "prob/ö/1", "prob/b $"]
    assert table["true"].tolist() == ["b $", "b $", "ö/1"]
    assert table["predicted"].tolist() == ["b $", "ö/1", "b $"]
    assert table["fold"].tolist() == [3, 3, 3]
    table.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    np.testing.assert_array_equal(table[["prob/ö/1", "prob/b $"]], PROB)


def test_the_decisions_stand_there_as_they_were_made():
    table = predictions_table(list("abc"), list("xyz"), 0, np.array([1, 1, 0]), PROB, TWO, np.array([0, 0, 0]))
    assert table["predicted"].tolist() == ["p", "p", "p"]


def test_several_labels_stand_in_one_cell_with_their_thresholds_beside_them(tmp_path):
    y_true, y_pred = np.array([[1, 1], [0, 0], [0, 1]]), np.array([[0, 1], [0, 0], [1, 0]])
    table = predictions_table(list("abc"), list("xyz"), 1, y_true, PROB, LEAVES, y_pred, np.array([0.3, 0.7]))
    assert list(table)[5:] == ["prob/rust", "prob/scab", "threshold/rust", "threshold/scab"]
    assert table["true"].tolist() == ["rust scab", "healthy", "scab"]
    assert table["predicted"].tolist() == ["scab", "healthy", "rust"]
    assert table["threshold/scab"].tolist() == [0.7, 0.7, 0.7]
    table.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)


def test_a_fold_an_image():
    table = predictions_table(list("abc"), list("xyz"), [2, 0, 1], np.array([1, 1, 0]), PROB, TWO, PRED)
    assert table["fold"].tolist() == [2, 0, 1]


@pytest.mark.parametrize("targets", [TWO, LEAVES])
def test_no_images_give_an_empty_table_of_the_same_form(targets):
    thresholds = np.full(2, 0.5) if targets is LEAVES else None
    y = np.eye(2, dtype=np.int64)[[1, 1, 0]] if targets is LEAVES else np.array([1, 1, 0])
    empty = predictions_table([], [], 0, y[:0], np.zeros((0, 2), np.float32), targets, y[:0], thresholds)
    full = predictions_table(list("abc"), list("xyz"), 0, y, PROB, targets, y, thresholds)
    assert len(empty) == 0
    assert empty.dtypes.equals(full.dtypes)


@pytest.mark.parametrize(
    ("paths", "y_true", "y_pred", "classes"),
    [
        (["a"], [0, 1, 1], [0, 1, 1], "pq"),
        (list("abc"), [0, 1, 2], [0, 1, 1], "pq"),
        (list("abc"), [0, 1, 1], [0, 1, -1], "pq"),
        (list("abc"), [0, 1, 1], [0, 1], "pq"),
        (list("abc"), [0, 1, 1], [0, 1, 1], "pqr"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(paths, y_true, y_pred, classes):
    with pytest.raises(ValueError):
        predictions_table(paths, list("xyz"), 0, np.array(y_true), PROB, Targets(tuple(classes)), np.array(y_pred))


def test_thresholds_are_for_several_labels_and_needed_there():
    y = np.zeros((3, 2), int)
    with pytest.raises(ValueError, match="thresholds"):
        predictions_table(list("abc"), list("xyz"), 0, y, PROB, LEAVES, y)
    with pytest.raises(ValueError, match="thresholds"):
        predictions_table(list("abc"), list("xyz"), 0, PRED, PROB, TWO, PRED, np.array([0.5, 0.5]))

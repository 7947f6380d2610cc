import numpy as np
import pandas as pd
import pytest

from tasks.evaluation.tables import predictions_table

PROB = np.array([[0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], dtype=np.float32)


def test_one_row_an_image_with_labels_as_they_are(tmp_path):
    table = predictions_table(
        ["a/1.png", "b/1.png", "c d.png"], list("xyz"), 3, np.array([1, 1, 0]), PROB, ["ö/1", "b $"]
    )
    assert list(table) == ["path", "sha256", "fold", "true", "predicted", "prob/ö/1", "prob/b $"]
    assert table["true"].tolist() == ["b $", "b $", "ö/1"]
    assert table["predicted"].tolist() == ["b $", "ö/1", "b $"]
    assert table["fold"].tolist() == [3, 3, 3]
    table.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    np.testing.assert_array_equal(table[["prob/ö/1", "prob/b $"]], PROB)


def test_a_fold_an_image():
    table = predictions_table(list("abc"), list("xyz"), [2, 0, 1], np.array([1, 1, 0]), PROB, ["p", "q"])
    assert table["fold"].tolist() == [2, 0, 1]


def test_no_images_give_an_empty_table_of_the_same_form():
    empty = predictions_table([], [], 0, np.array([], int), np.zeros((0, 2), np.float32), ["p", "q"])
    full = predictions_table(list("abc"), list("xyz"), 0, np.array([1, 1, 0]), PROB, ["p", "q"])
    assert len(empty) == 0
    assert empty.dtypes.equals(full.dtypes)


@pytest.mark.parametrize(
    ("paths", "y_true", "classes"),
    [(["a"], [0, 1, 1], ["p", "q"]), (list("abc"), [0, 1, 2], ["p", "q"]), (list("abc"), [0, 1, 1], ["p", "q", "r"])],
)
def test_parts_that_do_not_fit_together_are_refused(paths, y_true, classes):
    with pytest.raises(ValueError):
        predictions_table(paths, list("xyz"), 0, np.array(y_true), PROB, classes)

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.comparison.ranking import comparison_table, rank
from tasks.comparison.summary import summarise_folds


def summaries(**by_backbone):
    return {
        name: summarise_folds(values, n_train=[8, 8], n_test=[2, 2]) if values else {}
        for name, values in by_backbone.items()
    }


def test_best_first_both_ways():
    own = summaries(a={"m": [0.1, 0.2]}, b={"m": [0.5, 0.6]}, c={"m": [0.3, 0.4]})
    assert rank(own, "m", higher_is_better=True) == ["b", "c", "a"]
    assert rank(own, "m", higher_is_better=False) == ["a", "c", "b"]


def test_equals_stand_by_name_and_those_without_a_value_at_the_end():
    own = summaries(dead={}, void={"m": [None, None]}, z={"m": [0.5, 0.5]}, y={"m": [0.4, 0.6]}, x={"m": [0.1, 0.1]})
    assert rank(own, "m", higher_is_better=True) == ["y", "z", "x", "dead", "void"]
    assert rank(own, "m", higher_is_better=False) == ["x", "y", "z", "dead", "void"]


def test_the_table_has_a_row_a_backbone_and_no_column_for_single_classes():
    own = summaries(a={"m": [0.1, 0.3], "log_loss": [1, 2], "f1/cat": [0, 1]}, b={"m": [0.5, None]}, dead={})
    table = comparison_table(
        own, "m", higher_is_better=True, folds_completed={"a": 2, "b": 1}, seconds={"a": 12.5, "b": None}
    )
    figures = ["mean", "std", "ci_low", "ci_high"]
    expected = ["backbone", "rank", *(f"{m}_{f}" for m in ("m", "log_loss") for f in figures)]
    assert list(table.columns) == [*expected, "folds_completed", "seconds"]
    assert list(table["backbone"]) == ["b", "a", "dead"]
    assert list(table["rank"][:2]) == [1, 2]
    assert table["rank"].isna()[2]
    assert list(table["folds_completed"]) == [1, 2, 0]
    np.testing.assert_array_equal(table["m_mean"], [0.5, 0.2, np.nan])
    np.testing.assert_array_equal(table["m_std"].isna(), [True, False, True])
    np.testing.assert_array_equal(table["seconds"], [np.nan, 12.5, np.nan])


def test_the_table_survives_csv_and_parquet(tmp_path):
    own = summaries(a={"m": [0.1, 0.3]}, dead={})
    table = comparison_table(own, "m", higher_is_better=True, folds_completed={"a": 2}, seconds={})
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    assert list(pd.read_csv(tmp_path / "t.csv").columns) == list(table.columns)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.report.shown_table import shown_table
from tasks.comparison.section import Table


def table(frame, titles=None, **more):
    return Table("made", "What was made.", frame, titles or {name: name for name in frame}, **more)


def test_values_are_written_as_people_read_them():
    frame = pd.DataFrame(
        {
            "name": ["a", None],
            "mean": [0.12345, np.nan],
            "n": [3, 4],
            "good": [True, False],
            "share": [0.5, 0.25],
            "mixed": [1, None],
        }
    ).astype({"mixed": "Int64"})
    shown = shown_table(table(frame, formats={"share": lambda value: f"{100 * value:.0f} %"}))
    assert shown.rows == [["a", "0.123", "3", "yes", "50 %", "1"], ["–", "–", "4", "no", "25 %", "–"]]
    assert [head.is_number for head in shown.heads] == [False, True, True, False, True, True]


def test_a_column_of_numbers_and_gaps_stays_one_of_numbers():
    frame = pd.DataFrame({"a": pd.Series([1.5, None, "x"], dtype=object), "b": pd.Series([1.5, None, 2], dtype=object)})
    assert [head.is_number for head in shown_table(table(frame)).heads] == [False, True]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_what_is_not_finite_is_no_gap(value):
    [[told]] = shown_table(table(pd.DataFrame({"a": [value]}))).rows
    assert told.endswith("∞")
    assert told.startswith("−") == (value < 0)


def test_columns_come_in_the_order_of_their_titles_and_others_stay_in_the_files():
    frame = pd.DataFrame({"a": [1], "b": [2], "c": [3]})
    shown = shown_table(table(frame, {"c": "Third", "gone": "Gone", "a": "First"}))
    assert [head.title for head in shown.heads] == ["Third", "First"]
    assert shown.rows == [["3", "1"]]
    assert shown_table(Table("made", "What was made.", frame, {})) is None


def test_a_long_table_is_cut_and_knows_its_length():
    shown = shown_table(table(pd.DataFrame({"a": range(120)}), longest=7))
    assert (len(shown.rows), shown.n_rows) == (7, 120)
    assert shown.rows[-1] == ["6"]


def test_an_empty_table_has_heads_and_no_rows():
    shown = shown_table(table(pd.DataFrame({"a": []})))
    assert [head.title for head in shown.heads] == ["a"]
    assert shown.rows == []

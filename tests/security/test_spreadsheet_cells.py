import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.spreadsheets import as_written, inert

DANGEROUS = ["=HYPERLINK(1)", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]
TEXTS = st.text(st.sampled_from("=+-@\t\r'0123456789.eEab "), max_size=8)


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_cell_and_no_name_of_a_column_begins_as_a_formula_does(text):
    table = inert(pd.DataFrame({text: [text, "plain"], "score": [-0.5, 1.0]}))
    assert table.columns.tolist() == [f"'{text}", "score"]
    assert table.iloc[:, 0].tolist() == [f"'{text}", "plain"]
    assert table["score"].tolist() == [-0.5, 1.0]


@pytest.mark.parametrize("number", ["-1", "+2.5", "-1e-3", "-.5"])
def test_numbers_stay_numbers(number):
    assert inert(pd.DataFrame({"grade": [number]}))["grade"].tolist() == [number]


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_what_is_read_back_is_what_was_written(texts):
    table = pd.DataFrame({"path": texts})
    assert as_written(inert(table))["path"].tolist() == texts
    for text in inert(table)["path"]:
        assert text[:1] not in tuple("=+-@\t\r") or pd.to_numeric(text, errors="coerce") == float(text)


def test_missing_cells_and_a_table_without_rows_stay():
    table = pd.DataFrame({"a": ["=1", None], "b": pd.Series([1, 2], dtype="Int64")})
    assert inert(table)["a"].isna().tolist() == [False, True]
    assert inert(table).dtypes["b"] == "Int64"
    assert inert(pd.DataFrame({"=a": []})).columns.tolist() == ["'=a"]
    assert inert(pd.DataFrame()).empty

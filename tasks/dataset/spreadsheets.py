"""CSV files that spreadsheet programs open without taking a cell for a formula."""

from __future__ import annotations

import re

import pandas as pd
from pandas.api.types import is_object_dtype, is_string_dtype

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MARKED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table whose texts, and names of columns, no spreadsheet program takes for a formula.

    Names of files and classes are other people's, and a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage
    return is run as a formula by spreadsheet programs (OWASP, *CSV Injection*). Such a text gets an apostrophe in
    front, which they hide. Numbers stay as they are. `as_written` takes it off again.

    Parameters
    ----------
    table : DataFrame
        It stays as it is.
    """
    changed = {
        place: table.iloc[:, place].map(inert_text, na_action="ignore")
        for place in range(table.shape[1])
        if _holds_text(table.iloc[:, place])
    }
    columns = [changed.get(place, table.iloc[:, place]) for place in range(table.shape[1])]
    out = pd.concat(columns, axis=1) if columns else table.copy()
    out.columns = table.columns.map(inert_text)
    return out


def as_written(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table that `inert` has changed as it was before."""
    out = table.rename(columns=text_as_written)
    for name in out.columns:
        if _holds_text(out[name]):
            out[name] = out[name].map(text_as_written, na_action="ignore")
    return out


def inert_text(value: object) -> object:
    """Give a cell as `inert` does; what is no text stays as it is."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def text_as_written(value: object) -> object:
    """Give a cell as `as_written` does; what is no text stays as it is."""
    return value[1:] if isinstance(value, str) and _MARKED.match(value) else value


def _holds_text(column: pd.Series) -> bool:
    return bool(is_string_dtype(column.dtype) or is_object_dtype(column.dtype))

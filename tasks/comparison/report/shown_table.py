"""Tables as people read them: values written out, and long ones cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.comparison.section import Table
from tasks.comparison.text import NOTHING, number


@dataclass(frozen=True)
class Head:
    """The head of a column, and whether figures stand below it, which are set to the right."""

    title: str
    is_number: bool


@dataclass(frozen=True)
class ShownTable:
    """A table of a page.

    Attributes
    ----------
    name, caption
        As of a table; the name is that of its files.
    heads
        Of the columns, in order.
    rows
        The values as people read them; as many rows as pages show.
    n_rows
        How many there are.
    """

    name: str
    caption: str
    heads: list[Head]
    rows: list[list[str]]
    n_rows: int


def shown_table(table: Table) -> ShownTable | None:
    """Give a table as pages show it; None where nothing of it is for pages."""
    shown = [name for name in table.titles if name in table.frame]
    if not shown:
        return None
    first = table.frame.head(table.longest)
    return ShownTable(
        name=table.name,
        caption=table.caption,
        heads=[Head(table.titles[name], is_number(table.frame[name])) for name in shown],
        rows=[
            [written(table, name, value) for name, value in zip(shown, row, strict=True)] for row in _rows(first[shown])
        ],
        n_rows=len(table.frame),
    )


def written(table: Table, column: str, value: Any) -> str:
    """Write a value of a table as people read it: a dash where there is none, numbers with three decimals."""
    if _missing(value):
        return NOTHING
    if (own := table.formats.get(column)) is not None:
        return own(value)
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if pd.api.types.is_float(value):
        return number(float(value)) if math.isfinite(value) else str(value).replace("-", "−").replace("inf", "∞")
    return str(value)


def is_number(column: pd.Series) -> bool:
    """Tell whether a column holds numbers."""
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric or column.dtype != object:
        return numeric
    known = [value for value in column if not _missing(value)]
    return bool(known) and all(pd.api.types.is_number(value) and not pd.api.types.is_bool(value) for value in known)


def _missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _rows(frame: pd.DataFrame) -> list[list[Any]]:
    """Give the values row by row, each of its column's own type: whole numbers stay whole beside others."""
    return [list(row) for row in zip(*(frame.iloc[:, place] for place in range(frame.shape[1])), strict=True)]

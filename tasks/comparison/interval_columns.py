"""Columns that tell an interval in one cell, for pages that have no room for two."""

from __future__ import annotations

import pandas as pd

from tasks.comparison.text import between, known


def with_intervals(table: pd.DataFrame, **ends: tuple[str, str]) -> pd.DataFrame:
    """Give the table with further columns that tell intervals as `0.880 to 0.944`, a dash where there is none.

    Parameters
    ----------
    table : DataFrame
        It stays as it is.
    **ends : tuple of two str
        By the new column's name, the columns of the interval's ends; NaN: there is none.
    """
    told = {
        name: [between(known(one), known(other)) for one, other in zip(table[low], table[high], strict=True)]
        for name, (low, high) in ends.items()
    }
    return table.assign(**told)

"""By which columns of the manifest subgroups are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.subgroups.values import MOST_VALUES, subgroup_values
from tasks.config import InputError
from tasks.dataset.manifest import DECLARED, EXTRA
from tasks.dataset.wording import listed, nearest

GROUP = "group"
"""What the groups that the data declares are called as a column."""

MOST_GROUPS = 12
"""Declared groups are subgroups without being named where there are no more of them, such as five sites."""


@dataclass(frozen=True)
class SubgroupColumns:
    """The columns by which subgroups are told.

    Attributes
    ----------
    values : mapping of str to ndarray of shape (n_images,)
        By column, each image's subgroup as `subgroup_values` gives it.
    like_labels : tuple of str
        Columns that were left out because each of their values has images of one label only.
    """

    values: Mapping[str, NDArray[np.object_]]
    like_labels: tuple[str, ...] = ()


def known_columns(table: pd.DataFrame) -> dict[str, str]:
    """Give the columns that people can name, and what they are in the manifest's table."""
    named = {str(name).removeprefix(EXTRA): str(name) for name in table if str(name).startswith(EXTRA)}
    has_groups = table[DECLARED].notna().any()
    return ({GROUP: DECLARED} if has_groups else {}) | named


def check_columns(wanted: Sequence[str] | None, table: pd.DataFrame) -> None:
    """Refuse a column that the manifest does not have.

    Raises
    ------
    InputError
        With the nearest column.
    """
    known = known_columns(table)
    for name in wanted or ():
        if name.removeprefix(EXTRA) not in known:
            like = nearest(name, list(known))
            hint = f" Did you mean {like}?" if like else ""
            there = f"It has: {listed(known, 20)}." if known else "Only a table of images (data.table) has columns."
            raise InputError(f"comparison.subgroups: the data has no column {name!r}.{hint} {there}")


def subgroup_columns(wanted: Sequence[str] | None, table: pd.DataFrame) -> SubgroupColumns:
    """Give the columns by which subgroups are told, with each image's value.

    Parameters
    ----------
    wanted : sequence of str or None
        Their names; None: all columns with two to `MOST_VALUES` values (or ranges of numbers), two images a value on
        average, and not one label only in each of them; of declared groups, up to `MOST_GROUPS`.
    table : DataFrame
        Rows of the manifest's table.

    Raises
    ------
    InputError
        As `check_columns`.
    """
    check_columns(wanted, table)
    known = known_columns(table)
    if wanted is not None:
        names = list(dict.fromkeys(name.removeprefix(EXTRA) for name in wanted))
        return SubgroupColumns({name: subgroup_values(table[known[name]]) for name in names})
    values, like_labels = {}, []
    for name, column in known.items():
        own = subgroup_values(table[column])
        if not _tells(own, MOST_GROUPS if column == DECLARED else MOST_VALUES):
            continue
        if _follows_labels(own, table["label"]):
            like_labels.append(name)
        else:
            values[name] = own
    return SubgroupColumns(values, tuple(like_labels))


def _tells(values: NDArray[np.object_], most: int) -> bool:
    known = [value for value in values if value is not None]
    return 2 <= len(set(known)) <= min(most, len(known) / 2)


def _follows_labels(values: NDArray[np.object_], labels: pd.Series) -> bool:
    there = np.array([value is not None for value in values], dtype=bool)
    return bool((labels[there].groupby(values[there]).nunique() == 1).all())

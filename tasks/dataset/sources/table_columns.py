"""Which column of a table means what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tasks.config import Data, InputError
from tasks.dataset.sources.table import TextTable
from tasks.dataset.wording import listed, nearest

IMAGE_COLUMNS = ("image", "image_path", "image_id", "path", "file", "filename", "file_name", "filepath", "id_code")
"""Columns, in small letters, that are taken for the images' names."""
LABEL_COLUMNS = ("label", "labels", "class", "diagnosis")
"""Columns that are taken for the labels."""
GROUP_COLUMNS = ("group", "patient", "patient_id", "subject", "subject_id", "plant", "plant_id", "case_id")
"""Columns that are suggested as groups; only the first is taken without being named."""

NO_COLUMN = "none"
"""What a setting says to have no column."""


class Columns(NamedTuple):
    """The places of a table's columns; None where there is none."""

    image: int | None
    label: int | None
    split: int | None
    fold: int | None
    group: int | None
    extra: tuple[int, ...]
    """All others that have a name."""


def columns_of(table: TextTable, data: Data) -> Columns:
    """Return the places of the columns that the settings name, or that have the usual names.

    Raises
    ------
    InputError
        If a named column is not there, or several columns have usual names for one thing.
    """
    named = data.table
    image = find_column(table, "data.table.image", named.image, IMAGE_COLUMNS)
    label = None if data.labels.rules else find_column(table, "data.table.label", named.label, LABEL_COLUMNS)
    split = find_column(table, "data.table.split", named.split, ("split",))
    fold = find_column(table, "data.table.fold", named.fold, ("fold",))
    group = None
    if data.groups is None or (data.groups.column is not None and data.groups.table is None):
        wanted = None if data.groups is None else data.groups.column
        group = find_column(table, "data.groups.column", wanted, GROUP_COLUMNS[:1])
    used = (image, label, split, fold, group)
    extra = tuple(place for place, name in enumerate(table.columns) if name and place not in used)
    return Columns(*used, extra)


def find_column(table: TextTable, setting: str, wanted: str | None, usual: Sequence[str]) -> int | None:
    """Return the place of a column, or None if it is not named and no column has a usual name.

    Parameters
    ----------
    table
        The table.
    setting
        The setting's key, for messages.
    wanted
        The column that the setting names, by its exact name or else without regard to case; `none`: no column.
    usual
        Names, in small letters, of which one is looked for otherwise.

    Raises
    ------
    InputError
        If the named column is not there, or several have usual names.
    """
    if wanted == NO_COLUMN and NO_COLUMN not in table.columns:
        return None
    if wanted in table.columns:
        return table.columns.index(wanted)
    folded = {wanted.casefold()} if wanted is not None else set(usual)
    places = [place for place, name in enumerate(table.columns) if name.casefold() in folded]
    if len(places) == 1 or (wanted is None and not places):
        return places[0] if places else None
    if places:
        found = listed(table.columns[place] for place in places)
        raise InputError(
            f"The table {table.path} has several columns that may be meant: {found}. Say which: {setting}."
        )
    raise InputError(f"{setting}: the table {table.path} has no column {wanted!r}.{_hint(table, str(wanted))}")


def needed(place: int | None, table: TextTable, setting: str, usual: Sequence[str]) -> int:
    """Return the place of a column that must be there.

    Raises
    ------
    InputError
        If it is not.
    """
    if place is None:
        raise InputError(
            f"The table {table.path} has no column named {' or '.join(usual)}.{_hint(table)} Say which is meant: "
            f"{setting}."
        )
    return place


def _hint(table: TextTable, wanted: str = "") -> str:
    like = nearest(wanted, table.columns) if wanted else None
    meant = f" Did you mean {like}?" if like else ""
    return f"{meant} It has: {listed((name for name in table.columns if name), 20)}."

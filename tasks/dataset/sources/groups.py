"""The group of every image: what must never be split between two folds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tasks.config import Data, Groups, InputError
from tasks.dataset.labels import BLANKS, plain, whole_numbers
from tasks.dataset.sources.image_names import ImageNames, NameProblem
from tasks.dataset.sources.records import ImageRecord
from tasks.dataset.sources.table import read_table
from tasks.dataset.sources.table_columns import GROUP_COLUMNS, IMAGE_COLUMNS, NO_COLUMN, find_column, needed
from tasks.dataset.wording import counted, listed


def groups_of(records: Sequence[ImageRecord], data: Data, root: Path) -> list[str | None]:
    """Return the group of every image, all None if the data has no groups.

    Parameters
    ----------
    records
        The images; a reader of tables has put the group of a column there.
    data
        The settings.
    root
        The data folder, absolute.

    Raises
    ------
    InputError
        If an image has no group, or a table of groups gives it two, or there is no such column.
    """
    groups = data.groups
    if groups is None or (groups.table is None and groups.column == NO_COLUMN):
        return [record.group for record in records]
    if groups.pattern is not None:
        return _by_pattern(records, groups.pattern)
    if groups.table is not None:
        return _by_table(records, groups, root)
    if any(record.group is None for record in records):
        raise InputError(
            f"data.groups.column: {groups.column} is to be a column of the table of images, and this data is read "
            "without one. Name a table of groups as data.groups.table, or give data.groups.pattern."
        )
    return [record.group for record in records]


def _by_pattern(records: Sequence[ImageRecord], text: str) -> list[str | None]:
    pattern = re.compile(text)
    found = [pattern.search(record.relative) for record in records]
    groups = [match["group"] or None if match else None for match in found]
    astray = [record.relative for record, group in zip(records, groups, strict=True) if group is None]
    if astray:
        raise InputError(
            f"data.groups: the pattern {text!r} finds no group in {counted(len(astray), 'image')} of "
            f"{len(records):,}: {listed(astray)}. It is searched in the path below "
            "data.path, and every image needs a group."
        )
    return groups


def _by_table(records: Sequence[ImageRecord], groups: Groups, root: Path) -> list[str | None]:
    """Return groups from a table of its own; what it says of other images does not matter."""
    table = read_table(root / (groups.table or Path()), IMAGE_COLUMNS)
    images = find_column(table, "data.groups.image", groups.image, IMAGE_COLUMNS)
    image = needed(images, table, "data.groups.image", IMAGE_COLUMNS)
    column = find_column(table, "data.groups.column", groups.column, GROUP_COLUMNS)
    cells = whole_numbers(table.column(needed(column, table, "data.groups.column", GROUP_COLUMNS)))
    names = ImageNames(root, (record.relative for record in records))
    found: dict[str, str] = {}
    faults: list[str] = []
    for row, group in zip(table.rows, cells, strict=True):
        try:
            relative = names.find(row.cells[image], "", anywhere=True)
        except NameProblem as fault:
            faults += [] if fault.missing else [f"{table.unit} {row.line}: {fault}"]
            continue
        if group not in BLANKS and found.setdefault(relative, plain(group)) != plain(group):
            faults.append(f"{table.unit} {row.line}: {relative} (is in {found[relative]} and {group})")
    if faults:
        raise InputError(
            f"data.groups.table: {table.path} does not tell the groups of {counted(len(faults), 'row')}: "
            f"{listed(faults)}. Give each image's path below the data folder, and one group."
        )
    astray = [record.relative for record in records if record.relative not in found]
    if astray:
        raise InputError(
            f"data.groups.table: {table.path} names no group for {counted(len(astray), 'image')} of {len(records):,}: "
            f"{listed(astray)}. Every image needs a group."
        )
    return [found[record.relative] for record in records]

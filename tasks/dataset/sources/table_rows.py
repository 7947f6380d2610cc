"""What the rows of a table say about their images, beside the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tasks.config import Data, InputError
from tasks.dataset.labels import BLANKS, label_finder, label_parts, plain, refuse_fractions, whole_numbers
from tasks.dataset.sources.folder_readers import refuse_clashing_rules, refuse_unfitted_rules
from tasks.dataset.sources.records import NO_LABEL, SPLIT_NAMES
from tasks.dataset.sources.table import TextTable
from tasks.dataset.sources.table_columns import LABEL_COLUMNS, Columns, needed
from tasks.dataset.wording import counted, listed


class RowFacts(NamedTuple):
    """The fields of an `ImageRecord` behind its path and address."""

    label: str
    split: str | None
    fold: str | None
    group: str | None
    extra: Mapping[str, str]
    flaw: str | None


def row_facts(table: TextTable, columns: Columns, data: Data, *, names: Sequence[str]) -> list[RowFacts]:
    """Return what each row says.

    Parameters
    ----------
    table, columns
        The table and its columns.
    data
        The settings.
    names
        The file name of each row's image, for `data.labels.rules`.

    Raises
    ------
    InputError
        If a label is blank (with `data.unlabelled: stop`) or the labels are fractions, if a split is none of train, val
        and test, or if some rows have a group and others none.
    """
    labels = _labels_by_rule(table, data, names) if data.labels.rules else _labels(table, columns, data)
    splits = _splits(table, columns.split)
    folds = _texts(table, columns.fold)
    groups = _groups(table, columns.group)
    extras = (
        {table.columns[place]: row.cells[place] for place in columns.extra if row.cells[place] not in BLANKS}
        for row in table.rows
    )
    return [
        RowFacts(label, split, fold, group, extra, None if label else NO_LABEL)
        for label, split, fold, group, extra in zip(labels, splits, folds, groups, extras, strict=True)
    ]


def _labels(table: TextTable, columns: Columns, data: Data) -> list[str]:
    place = needed(columns.label, table, "data.table.label", LABEL_COLUMNS)
    cells = table.column(place)
    if data.labels.kind == "multilabel":  # 1,2 are two labels there
        cells = [cell if label_parts(cell, data.labels.separator) else "" for cell in cells]
    else:
        refuse_fractions(cells, f"The column {table.columns[place]} of {table.path}")
        cells = whole_numbers(cells)
    blank = [f"{table.unit} {row.line}" for row, cell in zip(table.rows, cells, strict=True) if cell in BLANKS]
    if blank and data.unlabelled == "stop":
        raise InputError(
            f"The column {table.columns[place]} of {table.path} is blank in {counted(len(blank), 'row')}: "
            f"{listed(blank)}. Fill in the labels, or leave these images out with data.unlabelled: skip."
        )
    return ["" if cell in BLANKS else plain(cell) for cell in cells]


def _labels_by_rule(table: TextTable, data: Data, names: Sequence[str]) -> list[str]:
    find = label_finder(data.labels)
    found = [find(name) for name in names]
    shown = [f"{name} ({table.unit} {row.line})" for name, row in zip(names, table.rows, strict=True)]
    where = f"of {table.path}"
    refuse_clashing_rules([text for text, labels in zip(shown, found, strict=True) if len(labels) > 1], where)
    if data.unlabelled == "stop":
        refuse_unfitted_rules([text for text, labels in zip(shown, found, strict=True) if not labels], where)
    return [labels[0] if labels else "" for labels in found]


def _splits(table: TextTable, place: int | None) -> list[str | None]:
    if place is None:
        return [None] * len(table.rows)
    cells = table.column(place)
    unknown = [
        f"{cell} ({table.unit} {row.line})"
        for row, cell in zip(table.rows, cells, strict=True)
        if cell not in BLANKS and cell.casefold() not in SPLIT_NAMES
    ]
    if unknown:
        raise InputError(
            f"The column {table.columns[place]} of {table.path} must hold {', '.join(sorted(SPLIT_NAMES))} or nothing, "
            f"and {counted(len(unknown), 'row')} hold something else: {listed(unknown)}. Mend it, name another column "
            "as data.table.split, or say none there."
        )
    return [SPLIT_NAMES.get(cell.casefold()) for cell in cells]


def _groups(table: TextTable, place: int | None) -> list[str | None]:
    groups = _texts(table, place)
    blank = [f"{table.unit} {row.line}" for row, group in zip(table.rows, groups, strict=True) if group is None]
    if place is not None and blank:
        raise InputError(
            f"The column {table.columns[place]} of {table.path} gives no group in {counted(len(blank), 'row')}: "
            f"{listed(blank)}. Every image needs a group; one that belongs to no other gets one of its own."
        )
    return groups


def _texts(table: TextTable, place: int | None) -> list[str | None]:
    if place is None:
        return [None] * len(table.rows)
    return [None if cell in BLANKS else plain(cell) for cell in whole_numbers(table.column(place))]

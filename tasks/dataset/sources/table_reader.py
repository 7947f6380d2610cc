"""The reader of a table: a CSV, TSV or Parquet file lists the images and their labels, splits, folds and groups."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tasks.config import Data, InputError, Table
from tasks.dataset.labels import BLANKS, plain
from tasks.dataset.sources.image_names import ImageNames, NameProblem
from tasks.dataset.sources.reader_registry import register_reader
from tasks.dataset.sources.records import ImageRecord
from tasks.dataset.sources.table import TABLE_SUFFIXES, TextTable, read_table
from tasks.dataset.sources.table_columns import IMAGE_COLUMNS, LABEL_COLUMNS, columns_of, find_column, needed
from tasks.dataset.sources.table_rows import RowFacts, row_facts
from tasks.dataset.sources.tree import image_files
from tasks.dataset.wording import counted, listed, nearest_sibling

_SAMPLE = 200
_EXAMPLES = "sample_submission"
"""Tables of competitions whose names begin so show the form of an answer, with labels that mean nothing."""


def _has_table(root: Path) -> bool:
    return find_table(root) is not None


@register_reader("table", fits=_has_table, rank=20)
def read_table_rows(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield a record for each image that a table names; images that it does not name are left out.

    Names are paths from `data.table.folder`; without that setting, from the table's own folder, else the ends of paths
    that are there just once. Rows that say the same of one image count once.
    """
    path = table_path(root, data)
    table = read_table(path, IMAGE_COLUMNS)
    columns = columns_of(table, data)
    image = needed(columns.image, table, "data.table.image", IMAGE_COLUMNS)
    places = _places(root, table, image, data)
    facts = row_facts(table, columns, data, names=[PurePosixPath(place).name for place in places])
    return iter(_once(table, places, facts))


def find_table(root: Path) -> Path | None:
    """Return the table directly below `root` that tells the labels of the images there, or None if there is none.

    It has columns with usual names for images and labels, and most of its images are there. A table that only says what
    the images' folders say already is left alone.

    Raises
    ------
    InputError
        If there are several such tables.
    """
    files = image_files(root)
    if not files:
        return None
    names = ImageNames(root, files)
    found = [path for path in tables_in(root) if _tells_labels(path, names)]
    if len(found) > 1:
        raise InputError(
            f"{root} holds several tables of images: {listed(path.name for path in found)}. Say which is meant: "
            "data.table.file."
        )
    return found[0] if found else None


def tables_in(root: Path) -> list[Path]:
    """Return the tables directly below `root`, sorted."""
    return sorted(path for path in root.iterdir() if path.suffix.lower() in TABLE_SUFFIXES and _is_of_interest(path))


def _is_of_interest(path: Path) -> bool:
    return path.is_file() and not path.name.startswith((".", _EXAMPLES))


def _tells_labels(path: Path, names: ImageNames) -> bool:
    try:
        table = read_table(path, IMAGE_COLUMNS)
        image = find_column(table, "data.table.image", None, IMAGE_COLUMNS)
        label = find_column(table, "data.table.label", None, LABEL_COLUMNS)
    except InputError:
        return False
    if image is None or label is None:
        return False
    sample = table.rows[:: -(-len(table.rows) // _SAMPLE)]
    there, told = 0, 0
    for row in sample:
        try:
            folders = names.find(row.cells[image], "", anywhere=True).split("/")[:-1]
        except NameProblem:
            continue
        there += 1
        told += plain(row.cells[label]) not in map(plain, folders)
    return there * 2 > len(sample) and told > 0


def table_path(root: Path, data: Data) -> Path:
    """Return the table that is read: the one of the settings, the only one directly below `root`, or `find_table`'s.

    Raises
    ------
    InputError
        If there is none, or it is not clear which it is.
    """
    if data.table.file is not None:
        return root / data.table.file
    tables = tables_in(root)
    found = tables[0] if len(tables) == 1 else find_table(root)
    if found is None:
        raise InputError(
            f"data.reader is table, and {root} holds {'several tables' if tables else 'no table'} "
            f"({listed(path.name for path in tables) or ', '.join(TABLE_SUFFIXES)}). Name it: data.table.file."
        )
    return found


def _places(root: Path, table: TextTable, image: int, data: Data) -> list[str]:
    """Return the path below the root of each row's image."""
    names, near = ImageNames(root, image_files(root)), _near(root, table, data.table)
    places: list[str] = []
    missing: list[str] = []
    faults: list[str] = []
    for row in table.rows:
        name = row.cells[image]
        try:
            if name in BLANKS:
                raise NameProblem("no name")
            places.append(names.find(name, near, anywhere=data.table.folder is None))
        except NameProblem as fault:
            (missing if fault.missing else faults).append(f"{table.unit} {row.line}: {fault}")
            places.append(names.path_of(name, near) or "")
    where = root / near
    if len(missing) == len(table.rows):
        raise InputError(
            f"None of the {counted(len(table.rows), 'image')} that {table.path} names is below {where}: "
            f"{listed(missing, 3)}. Name the folder that the names start from: data.table.folder."
        )
    if faults:
        raise InputError(
            f"{table.path} names {counted(len(faults), 'image')} in a way that does not tell the file below {where}: "
            f"{listed(faults)}. Mend the names, or say where they start: data.table.folder."
        )
    if missing and data.on_corrupt == "stop":
        raise InputError(
            f"{table.path} names {counted(len(missing), 'image')} that cannot be found below {where}: "
            f"{listed(missing)}. Mend the names or restore the files, or go on without them: data.on_corrupt: skip."
        )
    return places


def _near(root: Path, table: TextTable, settings: Table) -> str:
    """Return the folder that names start from, as a path below the root; empty: the root."""
    folder = table.path.parent if settings.folder is None else root / settings.folder
    if not os.path.isdir(folder):  # noqa: PTH112 — Path.is_dir raises where nobody may look
        raise InputError(f"data.table.folder: there is no folder {folder}{nearest_sibling(folder)}.")
    spelled = Path(os.path.normpath(folder))
    for base in (Path(os.path.normpath(root)), root.resolve()):
        if spelled.is_relative_to(base):
            return "" if spelled == base else spelled.relative_to(base).as_posix()
    if settings.folder is None:  # the names in a table from elsewhere start from the data folder
        return ""
    raise InputError(
        f"data.table.folder: {folder} lies outside the data folder {root}. Let data.path be a folder that holds both."
    )


def _once(table: TextTable, places: list[str], facts: list[RowFacts]) -> list[ImageRecord]:
    """One record an image; rows that say different things of one image are refused."""
    records: dict[str, ImageRecord] = {}
    first: dict[str, int] = {}
    clashing: dict[str, list[int]] = defaultdict(list)
    for row, place, fact in zip(table.rows, places, facts, strict=True):
        record = ImageRecord(place, *fact)
        if records.setdefault(place, record) != record:
            clashing[place].append(row.line)
        first.setdefault(place, row.line)
    if clashing:
        shown = [
            f"{place} ({table.unit}s {', '.join(map(str, [first[place], *lines]))})"
            for place, lines in clashing.items()
        ]
        raise InputError(
            f"{table.path} says different things of {counted(len(clashing), 'image')} in several rows: "
            f"{listed(shown)}. Keep one row an image."
        )
    return list(records.values())

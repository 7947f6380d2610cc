"""Tables of text: CSV, TSV and Parquet files as rows of cells, each with the line where it stands."""

from __future__ import annotations

import csv
import errno
import io
import re
import stat
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tasks.config import InputError
from tasks.dataset.wording import counted, listed, nearest_sibling

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
"""File name endings, in small letters, that are taken for tables."""

_DELIMITERS = ",;\t|"
_HINT = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)


class Row(NamedTuple):
    """One row: the line where it begins (in Parquet, its number from 1 on), and its cells without outer blanks."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class TextTable:
    """A table of which every cell is text; missing values are empty."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def unit(self) -> str:
        """What `Row.line` counts: `line`, or `row` in a Parquet file."""
        return "row" if self.path.suffix.lower() == ".parquet" else "line"

    def column(self, place: int) -> list[str]:
        """Return all cells of a column."""
        return [row.cells[place] for row in self.rows]


def read_table(path: Path, known: Collection[str] = ()) -> TextTable:
    """Return the table in a file.

    A CSV file is UTF-8, with or without a byte-order mark, or UTF-16 with one, as spreadsheets write it. Its cells are
    set apart by commas, semicolons, tabs or bars: by what gives the header a `known` column, else the most columns.
    Rows of blank cells only are left out of it. In a Parquet file, whole numbers have no fraction, whatever their type,
    and columns of lists, structures and bytes are left out.

    Parameters
    ----------
    path
        A file that ends in .csv, .tsv or .parquet.
    known
        Names of columns, in small letters, one of which is expected.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, has no rows, names a column twice, or has a row of another length.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise InputError(f"{path} is no table that can be read: its name must end in {listed(TABLE_SUFFIXES)}.")
    try:
        check_ordinary(path)
        table = _read_parquet(path) if suffix == ".parquet" else _read_text(path, known)
    except FileNotFoundError:
        raise InputError(f"There is no table {path}{nearest_sibling(path)}.") from None
    except OSError as fault:
        raise InputError(f"The table {path} cannot be read: {fault.strerror or fault}.") from fault
    twice = [name for name, count in Counter(table.columns).items() if name and count > 1]
    if twice:
        raise InputError(f"The table {path} has two columns named {listed(twice)}. Rename one of them.")
    if not table.rows:
        raise InputError(f"The table {path} has no rows below its header.")
    return table


def check_ordinary(path: Path) -> None:
    """Raise an OSError if there is no such file, or if it is one that might never end.

    Raises
    ------
    OSError
        With what is wrong as its `strerror`.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no ordinary file, but a folder, a pipe or a device")


def _read_text(path: Path, known: Collection[str]) -> TextTable:
    text = _decoded(path)
    hint = _HINT.match(text)
    delimiter = hint[1] if hint else "\t" if path.suffix.lower() == ".tsv" else _delimiter(text, known)
    skipped = 1 if hint else 0
    reader = csv.reader(io.StringIO(text[hint.end() if hint else 0 :], newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    last = 0
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                rows.append(Row(last + 1 + skipped, stripped))
            last = reader.line_num
    except csv.Error as fault:
        raise InputError(
            f"The table {path} cannot be read from line {last + 1 + skipped} on: {fault}. Is a quotation mark not "
            'closed, or not doubled ("") inside quotes?'
        ) from fault
    if not rows:
        raise InputError(f"The table {path} is empty.")
    columns = rows[0].cells
    return TextTable(path, columns, tuple(_fitted(rows[1:], len(columns), path)))


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise InputError(f"The table {path} is not UTF-8 text (line {line}). Save it as UTF-8.") from None
    if "\0" in text:
        raise InputError(f"The table {path} is not text: it holds null characters. Save it as CSV in UTF-8.")
    return text


def _delimiter(text: str, known: Collection[str]) -> str:
    lines = io.StringIO(text, newline="")
    header = next((line.strip("\r\n") for line in lines if line.strip(f" {_DELIMITERS}\r\n")), "")

    def score(delimiter: str) -> tuple[bool, int]:
        names = [name.strip().strip('"').strip().casefold() for name in header.split(delimiter)]
        return any(name in known for name in names), len(names)

    return max(_DELIMITERS, key=score)


def _fitted(rows: list[Row], width: int, path: Path) -> list[Row]:
    """Rows with as many cells as the header; blank cells beyond it are cut off."""
    uneven = [row for row in rows if len(row.cells) < width or any(row.cells[width:])]
    if uneven:
        shown = listed(f"line {row.line} ({len(row.cells)})" for row in uneven)
        raise InputError(
            f"The header of the table {path} has {counted(width, 'cell')}, and {counted(len(uneven), 'row')} have "
            f"another number: {shown}. Mend them; a cell that holds the delimiter itself must stand in quotes."
        )
    return [Row(row.line, row.cells[:width]) for row in rows]


def _read_parquet(path: Path) -> TextTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names, columns = _texts(pq.ParquetFile(path).read())
    except (OSError, ValueError, OverflowError, pa.ArrowException) as fault:
        said = " ".join(str(fault).split()).rstrip(".")
        raise InputError(f"The table {path} is not a Parquet file that can be read: {said}.") from fault
    rows = zip(*columns, strict=True)
    return TextTable(path, names, tuple(Row(number, row) for number, row in enumerate(rows, 1)))


def _texts(table: Any) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the names and the cells of all columns that are no lists, structures or bytes."""
    from pyarrow import types

    others = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_nested)
    places = [
        place
        for place, field in enumerate(table.schema)
        if not field.name.startswith("__index_level_") and not any(is_of(field.type) for is_of in others)
    ]
    names = tuple(table.schema.names[place].strip() for place in places)
    return names, [[_text(value) for value in table.column(place).to_pylist()] for place in places]


def _text(value: Any) -> str:
    if value is None or value != value:  # not a number
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()

"""The reader of NumPy arrays: `NAME.npy` holds the images, the table `NAME.csv` beside it their labels, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tasks.config import Data, InputError
from tasks.dataset.pixels.addresses import row_address
from tasks.dataset.pixels.arrays import check_values, open_array
from tasks.dataset.pixels.images import ImageError
from tasks.dataset.sources.reader_registry import register_reader
from tasks.dataset.sources.records import NO_LABEL, SPLIT_NAMES, ImageRecord
from tasks.dataset.sources.table import TABLE_SUFFIXES, TextTable, read_table
from tasks.dataset.sources.table_columns import LABEL_COLUMNS, columns_of
from tasks.dataset.sources.table_reader import tables_in
from tasks.dataset.sources.table_rows import row_facts
from tasks.dataset.sources.tree import image_files
from tasks.dataset.wording import counted, listed


def _has_arrays(root: Path) -> bool:
    return bool(arrays_in(root)) and not image_files(root)


@register_reader("arrays", fits=_has_arrays, rank=10)
def read_arrays(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield a record for each image of the arrays directly below `root`.

    Row i of a table belongs to image i of its array. Arrays whose names are those of splits (training, validation,
    test) give the split. An array without a table has no labels.
    """
    found = arrays_in(root)
    if not found:
        raise InputError(f"data.reader is arrays, and {root} holds no .npy file. Point data.path at their folder.")
    for path in found:
        try:
            array = open_array(path)
            check_values(array)
        except ImageError as fault:
            raise InputError(f"The array {path} cannot be used: {fault}. Mend it, or move it away.") from fault
        yield from _records(path, array, table_of(path), data)


def arrays_in(root: Path) -> list[Path]:
    """Return the `.npy` files directly below `root`, sorted."""
    return sorted(
        path
        for path in root.iterdir()
        if path.suffix.lower() == ".npy" and path.is_file() and not path.name.startswith(".")
    )


def table_of(array: Path) -> Path | None:
    """Return the table of an array: the one of its name, or the only one beside the only array; None without any.

    Raises
    ------
    InputError
        If there are several of its name.
    """
    tables = tables_in(array.parent)
    named = [path for path in tables if path.stem == array.stem]
    if len(named) > 1:
        raise InputError(f"{array} has several tables: {listed(path.name for path in named)}. Keep one of them there.")
    if named:
        return named[0]
    return tables[0] if len(tables) == 1 and len(arrays_in(array.parent)) == 1 else None


def _records(path: Path, array: NDArray[Any], table_path: Path | None, data: Data) -> Iterator[ImageRecord]:
    split = SPLIT_NAMES.get(path.stem.lower())
    addresses = [row_address(path.name, row, len(array)) for row in range(len(array))]
    if table_path is None:
        _refuse_unlabelled(path, len(array), data)
        for address in addresses:
            yield ImageRecord(address, "", split, flaw=NO_LABEL)
        return
    table = read_table(table_path, LABEL_COLUMNS)
    _refuse_other_length(path, len(array), table)
    for address, fact in zip(addresses, row_facts(table, columns_of(table, data), data, names=addresses), strict=True):
        yield ImageRecord(address, *fact._replace(split=fact.split or split))


def _refuse_unlabelled(path: Path, n_images: int, data: Data) -> None:
    if data.unlabelled == "stop":
        names = " or ".join(path.stem + suffix for suffix in TABLE_SUFFIXES)
        raise InputError(
            f"The array {path} with {counted(n_images, 'image')} has no table of labels beside it ({names}). Add one, "
            "or leave its images out with data.unlabelled: skip."
        )


def _refuse_other_length(path: Path, n_images: int, table: TextTable) -> None:
    if len(table.rows) != n_images:
        raise InputError(
            f"The array {path} holds {counted(n_images, 'image')}, and {table.path} has "
            f"{counted(len(table.rows), 'row')} below its header, blank ones left out; row i of the table "
            "belongs to image i. Give both the same length."
        )

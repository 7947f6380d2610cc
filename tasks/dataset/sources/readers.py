"""Reading: one record an image, by the reader that the settings name or that fits the folder."""

from __future__ import annotations

import stat
from pathlib import Path

from tasks.config import Data, InputError, Table
from tasks.dataset.sources import (
    array_reader,
    folder_readers,  # noqa: F401 — the others register themselves
    table_reader,  # noqa: F401 — the others register themselves
)
from tasks.dataset.sources.reader_registry import Reader, find_reader, reader_names, register_reader
from tasks.dataset.sources.records import SPLIT_NAMES, ImageRecord
from tasks.dataset.sources.table import TABLE_SUFFIXES
from tasks.dataset.wording import counted, listed, nearest_sibling

__all__ = [
    "SPLIT_NAMES",
    "ImageRecord",
    "Reader",
    "checked_root",
    "chosen_reader",
    "find_reader",
    "read_records",
    "reader_names",
    "register_reader",
]


def read_records(data: Data) -> list[ImageRecord]:
    """Return the records of all images below `data.path`, sorted by their relative path.

    Raises
    ------
    InputError
        If the folder is missing or holds no image, the reader is unknown, a table or an array is not right, images
        have no label or several, or `data.holdout` names a split that is not there.
    """
    root = checked_root(data.path)
    records = sorted(chosen_reader(data, root).read(root, data), key=lambda record: record.relative)
    if not records:
        kinds = "PNG, JPEG, TIFF, BMP, GIF, WebP and the like, known by the ending of the name"
        raise InputError(f"The folder {root} holds no image ({kinds}). Point data.path at the folder of images.")
    if all(record.flaw is not None for record in records):
        raise InputError(f"None of the {counted(len(records), 'image')} below {root} has a label to learn from.")
    _refuse_missing_holdout(records, data)
    return records


def chosen_reader(data: Data, root: Path) -> Reader:
    """Return the reader that `data.reader` names; for `auto`, one for `data.table` if that is set, else one that fits.

    Raises
    ------
    InputError
        If there is no such reader, if the folder is laid out in two ways at once, or if `data.table.file` is set for a
        reader that takes no table.
    """
    if data.reader == "auto" and data.table != Table():
        arrays = data.table.file is None and array_reader.arrays_in(root)
        return find_reader("arrays" if arrays else "table", root)
    if data.table.file is None:
        return find_reader(data.reader, root)
    if data.reader != "table":
        raise InputError(
            f"data.table.file names a table, and data.reader: {data.reader} reads none. Say data.reader: table, or "
            "take data.table.file away."
        )
    return find_reader("table", root)


def checked_root(path: Path | str) -> Path:
    """Return the folder, absolute.

    Raises
    ------
    InputError
        If it is missing (with the nearest name beside it), no folder, or an address.
    """
    if isinstance(path, str):
        raise InputError(
            f"data.path: {path} is an address; what lies there must be fetched first, as foldcam run does."
        )
    root = path.expanduser().absolute()
    try:
        if stat.S_ISDIR(root.stat().st_mode):
            return root
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"data.path: there is no folder {root}{nearest_sibling(root)}.") from None
    except OSError as fault:
        raise InputError(f"data.path: the folder {root} cannot be opened: {fault.strerror}.") from None
    if root.suffix.lower() in TABLE_SUFFIXES:
        raise InputError(
            f"data.path must be a folder of images, and {root} is a file. Name the folder there, and the table as "
            f"data.table.file: {root.name}."
        )
    raise InputError(f"data.path must be a folder of images, and {root} is a file.")


def _refuse_missing_holdout(records: list[ImageRecord], data: Data) -> None:
    if data.holdout == "test":  # the default, which says nothing about data without splits
        return
    found = sorted({record.split for record in records if record.split is not None and record.flaw is None})
    missing = sorted(data.held_out - set(found))
    if missing:
        has = f"the data has the splits {listed(found)}" if found else "the data has no splits"
        raise InputError(f"data.holdout: there is no split {listed(missing)} with labels below {data.path}; {has}.")

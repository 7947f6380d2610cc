"""The files below a data folder that nothing is read from."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.config import Data
from tasks.dataset.sources.array_reader import arrays_in, table_of
from tasks.dataset.sources.readers import chosen_reader
from tasks.dataset.sources.table import TABLE_SUFFIXES
from tasks.dataset.sources.table_reader import table_path
from tasks.dataset.sources.tree import other_files

_TOLD_APART = {*TABLE_SUFFIXES, ".npy"}


def ignored_files(root: Path, data: Data) -> list[str]:
    """Return the files that are neither images nor the tables and arrays that `read_records` and `groups_of` read.

    Parameters
    ----------
    root
        The data folder.
    data
        The settings, which the reader takes.

    Returns
    -------
    list of str
        POSIX paths relative to the folder, sorted.
    """
    others = other_files(root)
    if not any(Path(name).suffix.lower() in _TOLD_APART for name in others):
        return others
    used = {os.path.realpath(path) for path in _used(root, data)}
    return [name for name in others if os.path.realpath(root / name) not in used]


def _used(root: Path, data: Data) -> list[Path]:
    used = []
    reader = chosen_reader(data, root).name
    if reader == "table":
        used.append(table_path(root, data))
    elif reader == "arrays":
        arrays = arrays_in(root)
        used += [*arrays, *(table for array in arrays if (table := table_of(array)))]
    if data.groups is not None and data.groups.table is not None:
        used.append(root / data.groups.table.expanduser())
    return used

"""Images at an address (`s3://`, `gs://`, `https://`, `zip://`, whatever fsspec opens), brought to this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tasks.config import Data, InputError
from tasks.dataset.labels import plain
from tasks.dataset.parallel import Progress, in_threads
from tasks.dataset.sources.mirror import Mirror, address_of
from tasks.dataset.sources.remote_driver import LISTS_NOTHING, Remote, RemoteFile
from tasks.dataset.sources.table import TABLE_SUFFIXES, read_table
from tasks.dataset.sources.table_columns import IMAGE_COLUMNS, find_column, needed
from tasks.dataset.sources.tree import IMAGE_SUFFIXES

__all__ = ["address_of", "at_hand", "told_by_address"]

_READ = IMAGE_SUFFIXES | {*TABLE_SUFFIXES, ".npy"}
"""File name endings, in small letters, of all that readers read; nothing else is fetched."""
_GUESSED = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""Endings that are tried for names without one."""


@contextmanager
def at_hand(data: Data, home: Path, *, fresh: bool = False, progress: Progress | None = None) -> Iterator[Data]:
    """Give the settings with a folder as `data.path`: that itself, or one with what lies at the address.

    In the block, errors that name the folder name the address instead.

    Parameters
    ----------
    data
        The experiment file's `data`.
    home
        Where what is fetched is kept: the next call fetches only new and changed files, and removes vanished ones.
    fresh
        Fetch every file, whatever is there.
    progress
        Is called with the number of files fetched and to fetch.

    Raises
    ------
    InputError
        If the address cannot be reached or may not be read, holds nothing, or needs a driver that is not installed.
    """
    if isinstance(data.path, Path):
        yield data
        return
    address = data.path
    fetch = _fetched_table if _is_table(address) else _fetched_folder
    local = fetch(address, data, home, fresh, progress)
    with told_by_address(Path(local.path)):
        yield local


@contextmanager
def told_by_address(root: Path) -> Iterator[None]:
    """Let errors that name a data folder name the address that it was fetched from, if it was."""
    try:
        yield
    except InputError as fault:
        fault.args = tuple(
            part.replace(str(root), address_of(root)) if isinstance(part, str) else part for part in fault.args
        )
        raise


def _is_table(address: str) -> bool:
    return "::" not in address and PurePosixPath(address.partition("?")[0]).suffix.lower() in TABLE_SUFFIXES


def _fetched_folder(address: str, data: Data, home: Path, fresh: bool, progress: Progress | None) -> Data:
    remote, mirror = Remote(address), Mirror(home, address, address.rstrip("/"))
    named = {str(path) for path in (data.table.file, data.groups and data.groups.table) if path is not None}
    with mirror.filling(fresh=fresh):
        files = remote.files(lambda name: name in named or _is_read(name))
        if not files:
            hint = f" {LISTS_NOTHING}" if address.startswith("http") else ""
            raise InputError(f"data.path: {address} lists no image, no table and no array.{hint}")
        mirror.keep_only(files)
        mirror.fetch(remote, files, progress)
    return data.model_copy(update={"path": mirror.root})


def _is_read(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in _READ and not hidden


def _fetched_table(address: str, data: Data, home: Path, fresh: bool, progress: Progress | None) -> Data:
    """Fetch a table and the images that it names, whose folder need not list them."""
    if data.table.file is not None:
        raise InputError(
            f"data.path names a table, {address}, and data.table.file another, {data.table.file}. Take data.table.file "
            "away, or let data.path be the folder."
        )
    base, _, name = address.partition("?")[0].rpartition("/")
    remote, mirror = Remote(base), Mirror(home, address, base)
    with mirror.filling(fresh=fresh), told_by_address(mirror.root):
        first = [_there(remote, name)]
        if data.groups is not None and data.groups.table is not None:
            first.append(_there(remote, data.groups.table.as_posix()))
        mirror.fetch(remote, first)
        names = _image_names(mirror.root / name, data)
        images = in_threads(lambda image: _image(remote, image), names, workers=remote.workers)
        files = [*first, *(image for image in images if image is not None)]
        mirror.keep_only(files)
        mirror.fetch(remote, files, progress)
    table = data.table.model_copy(update={"file": Path(name)})
    return data.model_copy(update={"path": mirror.root, "table": table})


def _there(remote: Remote, name: str) -> RemoteFile:
    file = remote.find(name)
    if file is None:
        raise InputError(f"data.path: there is no table {remote.address}/{name}. Is it spelled right?")
    return file


def _image_names(path: Path, data: Data) -> list[str]:
    """Return the images that a table names, as paths below its folder; names that lead out of it are left out."""
    table = read_table(path, IMAGE_COLUMNS)
    setting = "data.table.image"
    found = find_column(table, setting, data.table.image, IMAGE_COLUMNS)
    place = needed(found, table, setting, IMAGE_COLUMNS)
    folder = PurePosixPath("" if data.table.folder is None else data.table.folder.as_posix())
    names = {str(folder / plain(cell).replace("\\", "/")) for cell in table.column(place) if cell}
    return sorted(name for name in names if not name.startswith("/") and ".." not in name.split("/"))


def _image(remote: Remote, name: str) -> RemoteFile | None:
    has_suffix = PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
    tried: Iterable[str] = [name] if has_suffix else (name + suffix for suffix in _GUESSED)
    return next((file for file in map(remote.find, tried) if file is not None), None)

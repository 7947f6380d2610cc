"""The register of readers: each knows one way to lay out a folder of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.config import Data, InputError
from tasks.dataset.sources.records import ImageRecord
from tasks.dataset.wording import nearest

Read = Callable[[Path, Data], Iterator[ImageRecord]]
Fits = Callable[[Path], bool]


@dataclass(frozen=True)
class Reader:
    """A named reader and the test by which `auto` chooses it."""

    name: str
    read: Read
    fits: Fits
    rank: int


_READERS: dict[str, Reader] = {}


def register_reader(name: str, *, fits: Fits = lambda _: False, rank: int = 50) -> Callable[[Read], Read]:
    """Register the decorated function as the reader `name`.

    Parameters
    ----------
    name
        What `data.reader` says to have it.
    fits
        Whether a folder looks like this layout; `auto` takes the first reader that fits. By default, never.
    rank
        `auto` tries the readers of the lowest rank first, and those of one rank in the order of registration.

    Raises
    ------
    ValueError
        If the name is taken.
    """

    def register(read: Read) -> Read:
        if name in _READERS or name == "auto":
            raise ValueError(f"a reader named {name!r} is registered already")
        _READERS[name] = Reader(name, read, fits, rank)
        return read

    return register


def reader_names() -> list[str]:
    """Return the names of all readers, sorted."""
    return sorted(_READERS)


def find_reader(name: str, path: Path) -> Reader:
    """Return the reader of this name; for `auto`, the first one that fits the folder.

    Raises
    ------
    InputError
        If there is no such reader, or the folder is laid out in two ways at once.
    """
    if name == "auto":
        in_turn = sorted(_READERS.values(), key=lambda reader: reader.rank)
        return next(reader for reader in in_turn if reader.fits(path))
    if name not in _READERS:
        like = nearest(name, reader_names())
        hint = f" Did you mean {like}?" if like else ""
        raise InputError(f"data.reader: unknown reader {name!r}.{hint} Known: auto, {', '.join(reader_names())}.")
    return _READERS[name]

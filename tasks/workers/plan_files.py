"""The tables that a plan writes for its workers: whole files, known by their checksums."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.config import InputError

Writers = Mapping[str, Callable[[Path], None]]
"""What writes a table to a path, by the table's file name."""


class Damaged(RuntimeError):
    """A table is not the one that was written; it is written again for the next order."""


def write_tables(folder: Path, writers: Writers) -> dict[str, str]:
    """Write tables into a folder, each as a whole file only, and give the SHA-256 of each by its name.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    found = {}
    part = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in writers.items():
            write(part)
            found[name] = _digest(part)
            part.replace(folder / name)
    except OSError as fault:
        raise InputError(
            f"The tables for the workers cannot be written into {folder}: {fault.strerror or fault}. Make room there, "
            "or name another folder in the environment variable FOLDCAM_HOME."
        ) from fault
    finally:
        part.unlink(missing_ok=True)
    return found


def are_whole(folder: Path, digests: Mapping[str, str]) -> bool:
    """Tell whether tables have been written, and are in the folder still as they were."""
    return bool(digests) and all(_is_whole(folder / name, digest) for name, digest in digests.items())


def check_tables(folder: Path, digests: Mapping[str, str]) -> None:
    """Refuse tables that are not those that were written.

    Raises
    ------
    Damaged
        One is gone, was cut short, or has other content.
    """
    for name, digest in digests.items():
        if not _is_whole(folder / name, digest):
            raise Damaged(f"the table {folder / name} is damaged or gone; it is written again")


def _is_whole(file: Path, digest: str) -> bool:
    try:
        return _digest(file) == digest
    except OSError:
        return False


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

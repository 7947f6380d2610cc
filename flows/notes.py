"""Notes that foldcam's Prefect servers leave for other processes, and the locks that keep a server while it is used.

A note is one small file for each server. Whoever uses the server holds its note's lock shared; whoever ends the server
holds it alone. The system lets go of a lock when its process dies, however it dies. Where the system has no locks,
notes are written and no server is shared.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tasks.dataset.locks import hold_existing

PREFIX = "foldcam-server"


@dataclass(frozen=True)
class Note:
    """What a server's starter says of it.

    Attributes
    ----------
    url : str
        Its API's address.
    pid, started : int, float
        The process that keeps it and the time of its start, which tells it from a later one with the same number.
    version : str
        Prefect's.
    database : str
        A digest of its database's address.
    """

    url: str
    pid: int
    started: float
    version: str
    database: str

    def is_alive(self) -> bool:
        """Tell whether the process that keeps the server still runs."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1
        except psutil.Error:
            return False

    def write(self, file: Path) -> None:
        """Put the note there, whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{PREFIX}-", delete=False) as new:
            json.dump(asdict(self), new)
        Path(new.name).replace(file)


def note_for(home: Path, port: int) -> Path:
    """Give the place of the note of this machine's server on a port."""
    return home / f"{PREFIX}-{socket.gethostname()}-{port}.json"


def notes_in(home: Path) -> list[Path]:
    """Give the notes of this machine's servers."""
    return sorted(home.glob(f"{PREFIX}-{socket.gethostname()}-*.json"))


@contextmanager
def held(file: Path) -> Iterator[Note | None]:
    """Read a note, and keep its server from being ended while the block lasts.

    None stands for a server that is being ended, and for a note that cannot be read or locked. The note of a server
    that is gone is removed.
    """
    handle = hold_existing(file, alone=False)
    try:
        note = None if handle is None else _read(file)
        if note is not None and not note.is_alive():
            file.unlink(missing_ok=True)
            note = None
        yield note
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def ending(file: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a note's lock alone and remove the note at the end; gives whether it is held, else the server is in use.

    With `wait`, the block begins when nobody uses the server any more. Where there is no note there is no other user.
    """
    handle = hold_existing(file, alone=True, wait=wait)
    free = handle is not None or not file.exists()
    try:
        yield free
    finally:
        if handle is not None:
            file.unlink(missing_ok=True)
            os.close(handle)


def _read(file: Path) -> Note | None:
    try:
        return Note(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None

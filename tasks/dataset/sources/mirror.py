"""A local folder that holds what lies at an address: each file fetched once, and again when it has changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.config import InputError
from tasks.dataset.locks import filling, nobody_fills
from tasks.dataset.parallel import Progress, in_threads
from tasks.dataset.sources.remote_driver import Remote, RemoteFile
from tasks.dataset.wording import counted, listed

_SOURCE = "source.json"
_NOTES = "fetched.jsonl"

_State = tuple[int | None, str, int, int]
"""A file as it was fetched: size and tag there, size and time of change (ns) here."""


def address_of(root: Path) -> str:
    """Return the address that a data folder was fetched from; of any other folder, its path."""
    try:
        return str(json.loads((root.parent / _SOURCE).read_text(encoding="utf-8"))["shown"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(root)


def mirrors(home: Path) -> list[dict[str, Any]]:
    """Return what has been fetched, the last used first.

    Parameters
    ----------
    home
        The folder of all mirrors.

    Returns
    -------
    list of dict
        `address`, `bytes` and `last_used` (ISO 8601, UTC).
    """
    found = [(folder, _last_used(folder)) for folder in _folders(home)]
    return [
        {
            "address": address_of(folder / "root"),
            "bytes": _size(folder),
            "last_used": datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
        }
        for folder, used in sorted(found, key=lambda one: -one[1])
    ]


def mirror_folders(home: Path) -> list[tuple[Path, float]]:
    """Return the folders of all mirrors, each with when it was last filled, in seconds since 1970."""
    return [(folder, _last_used(folder)) for folder in sorted(_folders(home))]


def clear_mirrors(home: Path) -> int:
    """Delete all mirrors that no process is just filling, and return the number of bytes freed."""
    return sum(map(remove_mirror, _folders(home)))


def remove_mirror(folder: Path) -> int:
    """Delete a mirror, unless a process is just filling it, and return the number of bytes freed."""
    if not nobody_fills(_lock_of(folder)):
        return 0
    freed = _size(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return freed


class Mirror:
    """The folder for an address, below `home`; safe to delete while nobody uses it.

    Parameters
    ----------
    home
        The folder of all mirrors.
    address
        What is mirrored.
    shown
        The address that the root of the mirror stands for.
    """

    def __init__(self, home: Path, address: str, shown: str) -> None:
        key = hashlib.sha256(address.encode()).hexdigest()[:24]
        self._shown = shown
        self._folder = home / key
        self._lock = _lock_of(self._folder)
        self.root = self._folder / _folder_name(shown)
        self._incoming = self._folder / "incoming"
        self._writing = threading.Lock()
        self._notes: dict[str, _State] = {}

    @contextmanager
    def filling(self, *, fresh: bool) -> Iterator[None]:
        """Hold the folder alone; other processes wait. With `fresh`, everything is fetched again.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        with self._told():
            self._lock.parent.mkdir(parents=True, exist_ok=True)
        with filling(self._lock):
            with self._told():
                shutil.rmtree(self._incoming, ignore_errors=True)
                for folder in (self.root, self._incoming):
                    folder.mkdir(parents=True, exist_ok=True)
                self._replace(_SOURCE, json.dumps({"shown": self._shown}))
                if fresh:
                    (self._folder / _NOTES).unlink(missing_ok=True)
            self._notes = self._noted()
            try:
                yield
            finally:
                shutil.rmtree(self._incoming, ignore_errors=True)

    def fetch(self, remote: Remote, files: Sequence[RemoteFile], progress: Progress | None = None) -> None:
        """Fetch those of the files that are new here or have changed; a file is here whole or not at all.

        Raises
        ------
        InputError
            If a name would leave the folder, a file cannot be fetched, or the folder cannot be written.
        """
        astray = [file.name for file in files if not _stays_below(file.name)]
        if astray:
            raise InputError(
                f"{self._shown} holds {counted(len(astray), 'file')} whose name is none below a folder: "
                f"{listed(map(repr, astray))}. Rename them there."
            )
        due = [file for file in files if not self._is_here(file)]
        in_threads(lambda file: self._fetch(remote, file), due, workers=remote.workers, progress=progress)

    def keep_only(self, files: Sequence[RemoteFile]) -> None:
        """Remove what is none of these files.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        names = {file.name for file in files}
        with self._told():
            for folder, _, found in os.walk(self.root, topdown=False):
                for entry in found:
                    path = Path(folder, entry)
                    if path.relative_to(self.root).as_posix() not in names:
                        path.unlink()
                if folder != str(self.root) and not any(Path(folder).iterdir()):
                    Path(folder).rmdir()
            self._notes = {name: state for name, state in self._notes.items() if name in names}
            lines = "".join(_line(name, state) for name, state in self._notes.items())
            self._replace(_NOTES, lines)

    def _is_here(self, file: RemoteFile) -> bool:
        try:
            status = (self.root / file.name).stat()
        except OSError:
            return False
        now = (file.size, file.tag, status.st_size, status.st_mtime_ns)
        return file.tag != "" and self._notes.get(file.name) == now

    def _fetch(self, remote: Remote, file: RemoteFile) -> None:
        coming = self._incoming / hashlib.sha256(file.name.encode("utf-8", "surrogateescape")).hexdigest()
        path = self.root / file.name
        remote.fetch(file, coming)
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            coming.replace(path)
            status = path.stat()
            state = (file.size, file.tag, status.st_size, status.st_mtime_ns)
            with self._writing, (self._folder / _NOTES).open("a", encoding="utf-8") as notes:
                notes.write(_line(file.name, state))
                self._notes[file.name] = state

    def _noted(self) -> dict[str, _State]:
        """Give what has been fetched by the notes, the last word on each file; a line that was cut off says nothing."""
        notes: dict[str, _State] = {}
        try:
            lines = (self._folder / _NOTES).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return notes
        for line in lines:
            try:
                name, size, tag, own_size, time = json.loads(line)
            except (ValueError, TypeError):
                continue
            notes[name] = (size, tag, own_size, time)
        return notes

    def _replace(self, name: str, text: str) -> None:
        working = self._folder / f"{name}.tmp"
        working.write_text(text, encoding="utf-8")
        working.replace(self._folder / name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise InputError(
                f"What is fetched from {self._shown} cannot be kept in {self.root}: {fault.strerror}. Mend that, or "
                "name another folder in FOLDCAM_HOME."
            ) from fault


def _folders(home: Path) -> list[Path]:
    try:
        return [path for path in home.iterdir() if path.is_dir()]
    except OSError:
        return []


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _last_used(folder: Path) -> float:
    """Return when the folder was last filled; its source is written each time."""
    marks = [path for path in (folder / _SOURCE, folder) if path.exists()]
    return marks[0].stat().st_mtime if marks else 0.0


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _line(name: str, state: _State) -> str:
    return json.dumps([name, *state]) + "\n"


def _stays_below(name: str) -> bool:
    return "\0" not in name and not {"", ".", ".."} & set(name.split("/")) and not PurePosixPath(name).is_absolute()


def _folder_name(shown: str) -> str:
    """Return the last part of an address, by which people call the data."""
    parts = [part for link in shown.split("::") for part in link.split("://")[-1].split("/")]
    last = next((part for part in reversed(parts) if part.strip(".")), "images")
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in last)[:60]

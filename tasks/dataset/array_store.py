"""A store of arrays by content: each is computed once, for all folds, backbones, processes and runs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tasks.config import InputError
from tasks.dataset.locks import filling, hold_shared, may_remove, nobody_fills
from tasks.dataset.mapped_array import Array, ReleasedArray, checksum, reserve

logger = logging.getLogger(__name__)


class ArrayStore:
    """Arrays on disk, named by what they were computed from.

    An array is a `.npy` file with a `.json` file beside it, which holds its key and checksum and whose time of change
    is the time of the last use. A file comes under its name only when it is whole. Everything may be deleted at any
    time.

    Parameters
    ----------
    root
        The store's folder; made when first needed.
    max_gb
        The disk space in GB (10**9 bytes) beyond which the arrays not used for longest are removed.
    """

    def __init__(self, root: Path, max_gb: float) -> None:
        self.root = root
        self.max_gb = max_gb
        self._verified: set[tuple[str, int, int]] = set()

    def get(self, key: Mapping[str, Any]) -> Array | None:
        """Return the array of this key, mapped from disk and not to be written, or None if it is not there.

        Its checksum is verified once a process and file; a damaged array is deleted and is not there.
        """
        return self._open(_name(key))

    def make(
        self, key: Mapping[str, Any], shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[Array], None]
    ) -> Array:
        """Return the array of this key, computed now if it is not there.

        Of two processes that want the same array at once, one computes it and the other waits.

        Parameters
        ----------
        key
            Everything that decides the content, as JSON values; `what` names the kind of array.
        shape, dtype
            The array's.
        fill
            Writes the content into the array that it is given, which is zero at first.

        Returns
        -------
        ndarray of the shape, mapped from disk and not to be written

        Raises
        ------
        InputError
            If there is no room on the disk, or the folder cannot be written.
        Exception
            What `fill` raises; nothing is kept then.
        """
        name = _name(key)
        if (there := self._open(name)) is not None:
            return there
        with self._turn(name):
            if (there := self._open(name)) is not None:
                return there
            self._fill(name, key, shape, np.dtype(dtype), fill)
            array = self._open(name)
        if array is None:
            raise RuntimeError(f"the array {name} vanished from {self.root} while it was made")
        self._evict(keep=name)
        return array

    def entries(self) -> list[dict[str, Any]]:
        """Return what is kept, the last used first.

        Returns
        -------
        list of dict
            `what` (kind of array), `bytes`, `last_used` (ISO 8601, UTC) and `key` (what it was computed from).
        """
        found = []
        for name, size, used in sorted(self._files(), key=lambda file: -file[2]):
            key = (self._note(name) or {}).get("key", {})
            when = datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds")
            found.append({"what": key.get("what", "unknown"), "bytes": size, "last_used": when, "key": key})
        return found

    def files(self) -> list[tuple[Path, float]]:
        """Return the arrays' files, each with when it was last used, in seconds since 1970."""
        return [(self._file(name), used) for name, _, used in sorted(self._files())]

    def remove_unused(self, file: Path) -> None:
        """Delete one of `files`, unless a process has it open."""
        if may_remove(file):
            self._remove(file.stem)

    def clear(self) -> int:
        """Delete everything that no process is just computing, and return the number of bytes freed.

        A process that has an array open keeps it until it is done with it.
        """
        freed = self._sweep()
        for name, size, _ in list(self._files()):
            self._remove(name)
            freed += size
        return freed

    def _open(self, name: str) -> Array | None:
        file, note = self._file(name), self._note(name)
        held = hold_shared(file) if note is not None else None
        if held is None or note is None:
            return None
        try:
            status = os.fstat(held)
            stamp = (name, status.st_ino, status.st_mtime_ns)
            if stamp not in self._verified and checksum(file) != note.get("crc32"):
                raise ValueError("its checksum is wrong")
            array: ReleasedArray = np.load(file, mmap_mode="r", allow_pickle=False).view(ReleasedArray)
            array.hold(held)
            if array.stamp != (status.st_size, status.st_mtime_ns):
                raise ValueError("it was changed while it was opened")
        except (OSError, ValueError) as fault:
            os.close(held)
            logger.warning("The cached array %s is damaged and is made again: %s", file, fault)
            self._remove(name)
            return None
        self._verified.add(stamp)
        with suppress(OSError):
            os.utime(self._note_file(name))
        weakref.finalize(array, os.close, held)
        return array

    def _fill(
        self, name: str, key: Mapping[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any], fill: Callable[..., None]
    ) -> None:
        mark = secrets.token_hex(4)
        working, working_note = self.root / f"{name}.{mark}.tmp", self.root / f"{name}.{mark}.note.tmp"
        try:
            with self._disk_faults():
                array = np.lib.format.open_memmap(working, mode="w+", dtype=dtype, shape=shape).view(ReleasedArray)
                reserve(working)
            fill(array)
            with self._disk_faults():
                array.flush()
                del array
                note = {"key": dict(key), "crc32": checksum(working), "shape": list(shape), "dtype": dtype.str}
                working_note.write_text(json.dumps(note), encoding="utf-8")
                working_note.replace(self._note_file(name))
                working.replace(self._file(name))
        finally:
            working.unlink(missing_ok=True)
            working_note.unlink(missing_ok=True)
        status = self._file(name).stat()
        self._verified.add((name, status.st_ino, status.st_mtime_ns))

    @contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        with ExitStack() as held:
            with self._disk_faults():
                self.root.mkdir(parents=True, exist_ok=True)
                held.enter_context(filling(self._lock(name)))
            yield

    @contextmanager
    def _disk_faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise InputError(
                f"The cache folder {self.root} cannot be written: {fault.strerror}. Make room there, or name another "
                "folder in the environment variable FOLDCAM_HOME."
            ) from fault

    def _evict(self, keep: str) -> None:
        self._sweep()
        files = sorted(self._files(), key=lambda file: file[2])
        total = sum(size for _, size, _ in files)
        for name, size, _ in files:
            if total <= self.max_gb * 1e9:
                return
            if name != keep and may_remove(self._file(name)):
                self._remove(name)
                total -= size

    def _sweep(self) -> int:
        """Remove what killed processes left half done."""
        freed = 0
        for left in self.root.glob("*.tmp"):
            with suppress(OSError):
                size = left.stat().st_size
                if nobody_fills(self._lock(left.name.split(".")[0])):
                    left.unlink()
                    freed += size
        return freed

    def _files(self) -> Iterator[tuple[str, int, float]]:
        for file in self.root.glob("*.npy"):
            with suppress(OSError):
                note = self._note_file(file.stem)
                yield file.stem, file.stat().st_size, (note if note.exists() else file).stat().st_mtime

    def _note(self, name: str) -> dict[str, Any] | None:
        try:
            note = json.loads(self._note_file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) else None

    def _remove(self, name: str) -> None:
        for file in (self._file(name), self._note_file(name)):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.root / f"{name}.npy"

    def _note_file(self, name: str) -> Path:
        return self.root / f"{name}.json"

    def _lock(self, name: str) -> Path:
        return self.root / f"{name}.lock"


def _name(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:40]

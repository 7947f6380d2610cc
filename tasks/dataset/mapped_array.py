"""Arrays mapped from files: released from memory as they are read, and known to be whole."""

from __future__ import annotations

import errno
import mmap
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CHUNK = 1 << 24


class ReleasedArray(np.memmap):
    """A mapped array whose pages leave the process's memory again, `_CHUNK` bytes at a time.

    They stay in the system's file cache, changed ones too, since the mapping is shared.
    """

    _touched = 0
    _held = -1
    stamp = (0, 0)
    """Size and time of change of its file when it was opened."""

    def hold(self, handle: int) -> None:
        """Remember the file as it is now, by an open descriptor."""
        self._held, self.stamp = handle, _stamp(handle)

    @property
    def is_whole(self) -> bool:
        """Whether the file is still as it was when its checksum was right."""
        return _stamp(self._held) == self.stamp

    def __getitem__(self, index: Any) -> Any:
        found = np.asarray(super().__getitem__(index))
        self._count(found.nbytes)
        return found[()]

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return np.asarray(array)[()] if return_scalar else np.asarray(array)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self._count(np.asarray(value).nbytes)

    def _count(self, touched: int) -> None:
        self._touched += touched
        pages = getattr(self, "_mmap", None)
        if self._touched > _CHUNK and isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            pages.madvise(mmap.MADV_DONTNEED)


def is_whole(array: Array) -> bool:
    """Tell whether a kept array's file is as it was when its checksum was verified; other arrays have none."""
    return array.is_whole if isinstance(array, ReleasedArray) else True


def reserve(file: Path) -> None:
    """Claim the disk space now: writing to a mapped file on a full disk would kill the process."""
    if not hasattr(os, "posix_fallocate"):
        return
    with file.open("r+b") as handle:
        try:
            os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
        except OSError as fault:  # some file systems cannot reserve
            if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def checksum(file: Path) -> int:
    """Give a file's CRC-32, read in pieces."""
    value = 0
    with file.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def _stamp(handle: int) -> tuple[int, int]:
    status = os.fstat(handle)
    return status.st_size, status.st_mtime_ns

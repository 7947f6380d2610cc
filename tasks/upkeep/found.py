"""What lies in foldcam's folders and may go: which, how large, since when."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Left:
    """Something on disk that may go.

    Attributes
    ----------
    what : str
        Its kind, in words.
    path : Path
        Where it lies, a file or a folder.
    used : float
        When it was last used, in seconds since 1970.
    why_kept : str
        Why it stays; empty where it goes.
    remove : callable or None
        Removes it; None: it is a file or folder that is deleted as such.
    """

    what: str
    path: Path
    used: float
    why_kept: str = ""
    remove: Callable[[], object] | None = None

    @cached_property
    def size(self) -> int:
        """Its size in bytes when that was first asked for."""
        return size_of(self.path)

    def go(self) -> None:
        """Remove it, as far as it can be removed."""
        if self.remove is not None:
            self.remove()
        elif self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)


def is_own_folder(path: Path) -> bool:
    """Tell whether a path is a folder of this user's: in `/tmp` others may put links and pipes in its way.

    Raises
    ------
    OSError
        It cannot be looked at, or is not there.
    """
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def size_of(path: Path) -> int:
    """Give the size in bytes of a file, or of all files in a folder."""
    total = 0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def last_used(path: Path) -> float:
    """Give when anything in a file or folder was last written, in seconds since 1970."""
    newest = 0.0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with suppress(OSError):
            newest = max(newest, file.stat().st_mtime)
    return newest

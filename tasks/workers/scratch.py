"""A folder for a pool's temporary files, and the end of those that killed processes left behind."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tasks.dataset.locks import hold_shared, may_remove

PREFIX = "foldcam-workers-"
_NEW_SECONDS = 60.0
"""A folder younger than this may be one that its owner has not marked yet."""


class Scratch:
    """A temporary folder that is this process's for as long as it lives; what dead ones left is removed.

    Attributes
    ----------
    folder : Path
        The folder.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._held = hold_shared(self.folder)

    def remove(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_ours(folder) and time.time() - folder.stat().st_mtime > _NEW_SECONDS and may_remove(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Tell whether this user has made it: others may put a pipe there, which nobody would ever come back from."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()

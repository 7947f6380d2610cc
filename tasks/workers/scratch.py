"""A folder for a pool's temporary files, and the end of those that killed processes left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tasks.dataset.locks import hold_shared, may_remove
from tasks.upkeep.found import is_own_folder
from tasks.upkeep.leftovers import OF_WORKERS

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
        self.folder = Path(tempfile.mkdtemp(prefix=OF_WORKERS))
        self._held = hold_shared(self.folder)

    def remove(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{OF_WORKERS}*"):
        with suppress(OSError):
            if is_own_folder(folder) and time.time() - folder.stat().st_mtime > _NEW_SECONDS and may_remove(folder):
                shutil.rmtree(folder, ignore_errors=True)

"""What killed processes have left: half-written files, scratch folders, locks, states of fits that are done."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from tasks.dataset.locks import hold_existing, may_remove, nobody_fills
from tasks.upkeep.found import Left, is_own_folder, last_used

WRITING_SECONDS = 3600
"""A temporary file that has not grown for so long is not being written any more."""
SCRATCH_SECONDS = 24 * 3600
"""The same for a scratch folder of unknown owner."""

OF_WORKERS = "foldcam-workers-"
"""Beginning of the name of the folder for the temporary files of a pool's workers."""

TEMPORARY, LOCK, SCRATCH, FIT = "temporary files", "locks", "scratch folders", "states of finished fits"


def leftovers(home: Path, is_completed: Callable[[str], bool]) -> list[Left]:
    """Give what can go whatever the rules say.

    Parameters
    ----------
    home
        foldcam's own store.
    is_completed
        Tells whether the fold run of a fingerprint, letters and digits, is completed in the record.
    """
    return [*_temporary(home), *_locks(home), *_scratch(), *_fits(home, is_completed)]


def _temporary(home: Path) -> Iterator[Left]:
    for file in sorted((home / "arrays").glob("*.tmp")):
        if nobody_fills(file.with_name(f"{file.name.split('.')[0]}.lock")):
            yield Left(TEMPORARY, file, last_used(file))
    others = [*home.glob("plans/*/.*"), *home.glob("manifests/*.tmp"), *home.glob("fits/*.tmp")]
    for path in [*others, *home.glob("remote/*/incoming"), *home.glob("artifacts/**/*.tmp")]:
        if time.time() - last_used(path) > WRITING_SECONDS:
            yield Left(TEMPORARY, path, last_used(path))


def _locks(home: Path) -> Iterator[Left]:
    for lock in sorted([*home.glob("arrays/*.lock"), *home.glob("claims/*.lock")]):
        if time.time() - last_used(lock) > WRITING_SECONDS and nobody_fills(lock):
            yield Left(LOCK, lock, last_used(lock), remove=partial(_remove_free, lock))


def _remove_free(lock: Path) -> None:
    """Remove a lock that still nobody holds: one may have been taken since it was found."""
    handle = hold_existing(lock, alone=True)
    if handle is not None:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _scratch() -> Iterator[Left]:
    in_use = _folders_in_use()
    for folder in sorted(Path(tempfile.gettempdir()).glob("foldcam-*")):
        with suppress(OSError):
            if not is_own_folder(folder):
                continue
            of_workers = folder.name.startswith(OF_WORKERS)
            if of_workers and (str(folder) in in_use or not may_remove(folder)):
                continue
            if time.time() - last_used(folder) > (WRITING_SECONDS if of_workers else SCRATCH_SECONDS):
                yield Left(SCRATCH, folder, last_used(folder))


def _folders_in_use() -> set[str]:
    """Give the folders that living processes of this user have for their temporary files."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.uids().real == os.getuid():
                found.add(process.environ().get("TMPDIR", ""))
    return found


def _fits(home: Path, is_completed: Callable[[str], bool]) -> Iterator[Left]:
    for file in sorted((home / "fits").glob("*.npz")):
        if file.stem.isalnum() and is_completed(file.stem):
            yield Left(FIT, file, last_used(file))

"""Checks the cache folder, and looks for what killed runs have left."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from tasks.care.findings import Finding
from tasks.dataset.wording import counted, listed
from tasks.upkeep.found import Left
from tasks.upkeep.leftovers import SCRATCH, TEMPORARY, leftovers

CODES = {TEMPORARY: "leftovers.cache", SCRATCH: "leftovers.scratch"}
"""The findings' codes of what is left, by its kind."""


def check_cache_folder(folder: Path) -> list[Finding]:
    """Find whether a file can be written to the cache folder, read again and deleted."""
    mend = "Give this user the right to write there, make room, or name another folder in FOLDCAM_HOME"
    try:
        probe(folder)
    except OSError as fault:
        return [Finding("cache", "fault", f"{folder} cannot be used: {fault.strerror or fault}", mend)]
    return [Finding("cache", "ok", f"{folder} can be written")]


def probe(folder: Path) -> None:
    """Write a file into a folder, read it again and delete it.

    Raises
    ------
    OSError
        One of these is not possible, or what is read is not what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, content = folder / f".foldcam-doctor-{secrets.token_hex(6)}", secrets.token_bytes(64)
    try:
        file.write_bytes(content)
        if file.read_bytes() != content:
            raise OSError("what is read there is not what was written")
    finally:
        file.unlink(missing_ok=True)


def check_leftovers(folder: Path, n_waiting: int) -> list[Finding]:
    """Find what killed runs have left in the cache folder and among the temporary files, and results that wait.

    Parameters
    ----------
    folder : Path
        The cache folder.
    n_waiting : int
        How many runs' results wait on disk for MLflow's server.
    """
    left = [own for own in leftovers(folder, lambda _: False) if own.what in CODES]
    found = [
        Finding(code, "warning", _told([own for own in left if own.what == what]), "`foldcam clean` removes them")
        for what, code in CODES.items()
        if any(own.what == what for own in left)
    ]
    if n_waiting:
        said = f"the results of {counted(n_waiting, 'run')} wait on disk for MLflow's server"
        found.append(Finding("leftovers.waiting", "warning", said, "`foldcam sync` delivers them"))
    return found or [Finding("leftovers", "ok", "no leftovers of killed runs in the cache")]


def _told(left: Sequence[Left]) -> str:
    paths, size = [str(own.path) for own in left], sum(own.size for own in left) / 1e6
    return f"{left[0].what} that killed processes left: {listed(paths, 3)} ({size:,.1f} MB)"

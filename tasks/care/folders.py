"""Checks the cache folder, and looks for what killed runs have left."""

from __future__ import annotations

import getpass
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tasks.care.findings import Finding
from tasks.dataset.locks import nobody_fills
from tasks.dataset.wording import counted

SCRATCH = "foldcam-workers-*"
"""The folders that worker processes have for their temporary files."""


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
    found = []
    half = half_done(folder)
    if half:
        size = sum(file.stat().st_size for file in half if file.exists()) / 1e6
        said = f"{len(half)} half-written files of killed runs in {folder} ({size:.1f} MB)"
        found.append(Finding("leftovers.cache", "warning", said, "`foldcam clean --cache` removes them"))
    abandoned = abandoned_scratch()
    if abandoned:
        names = ", ".join(map(str, abandoned[:3])) + (", …" if len(abandoned) > 3 else "")
        said = f"{len(abandoned)} folders of killed workers: {names}"
        found.append(Finding("leftovers.scratch", "warning", said, "Delete them; no process uses them"))
    if n_waiting:
        said = f"the results of {counted(n_waiting, 'run')} wait on disk for MLflow's server"
        found.append(Finding("leftovers.waiting", "warning", said, "`foldcam sync` delivers them"))
    return found or [Finding("leftovers", "ok", "no leftovers of killed runs in the cache")]


def half_done(folder: Path) -> list[Path]:
    """Give the files in the cache's stores that no process is writing any more."""
    stores = folder / "arrays"
    return [left for left in stores.glob("*.tmp") if nobody_fills(stores / f"{left.name.split('.')[0]}.lock")]


def abandoned_scratch(where: Path | None = None) -> list[Path]:
    """Give the folders of worker processes that are gone, among this user's temporary files."""
    settled = time.time() - 600  # a worker that has just died is replaced within that time
    found = sorted(Path(where or tempfile.gettempdir()).glob(SCRATCH))
    folders = [folder for folder in found if folder.stat().st_mtime < settled and folder.owner() == getpass.getuser()]
    used = _temporary_folders_in_use() if folders else ()
    return [folder for folder in folders if str(folder) not in used]


def _temporary_folders_in_use() -> Sequence[str]:
    """Give `TMPDIR` of every process that may be asked for it; workers have one of their own."""
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(process.environ().get("TMPDIR", ""))
        except (psutil.Error, OSError):
            continue
    return tuple(found)

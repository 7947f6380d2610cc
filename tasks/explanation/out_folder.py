"""A folder of results that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.config import InputError
from tasks.dataset.locks import hold_shared, may_remove
from tasks.dataset.wording import listed

UNFINISHED = ".unfinished"
"""How the folder begins that results are written in until all are there; what a killed call has left is removed by the
next."""


def check_out(out: Path) -> None:
    """Refuse a place for results that holds something already, or that another command is writing to.

    Raises
    ------
    InputError
        It is no folder, holds files, is in use, or cannot be looked into.
    """
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"--out: {out} is a file, not a folder. Name a folder that is new or empty.")
        entries = sorted(out.iterdir()) if out.is_dir() else []
    except OSError as fault:
        raise _refused(out, fault) from fault
    if held := [entry.name for entry in entries if not _is_unfinished(entry)]:
        raise InputError(
            f"--out: the folder {out} is not empty ({listed(held, 3)}), and nothing is overwritten. Name a folder "
            "that is new or empty."
        )
    if not all(map(may_remove, entries)):
        raise InputError(
            f"--out: another command is writing to the folder {out} at this moment. Name another one, or wait until "
            "that command has ended."
        )


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[Path]:
    """Give a folder to write in, whose content stands in `out` when the block ends without an error.

    Parameters
    ----------
    out : Path
        New or empty; it is made, and unmade where the block fails. It is never replaced, so that it may be the working
        folder or a mounted one.

    Raises
    ------
    InputError
        It holds something, then or when the block ends; or it cannot be written: what the block could not write is
        said so too.
    """
    check_out(out)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for entry in filter(_is_unfinished, out.iterdir()):
            if may_remove(entry):
                shutil.rmtree(entry, ignore_errors=True)
        with _scratch(out) as scratch:
            yield scratch
            _move(scratch, out)
    except BaseException as fault:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(fault, OSError):
            raise _refused(out, fault) from fault
        raise


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Give a folder below another that is known to be in use until it is gone again."""
    scratch = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}-", dir=out))
    handle = hold_shared(scratch)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _move(scratch: Path, out: Path) -> None:
    if held := sorted(entry.name for entry in out.iterdir() if not _is_unfinished(entry)):
        raise InputError(
            f"--out: the folder {out} was empty and is not any more ({listed(held, 3)}): something else was written "
            "to it meanwhile. Nothing was added to that. Name a folder that is new or empty."
        )
    for entry in sorted(scratch.iterdir()):
        entry.rename(out / entry.name)


def _is_unfinished(entry: Path) -> bool:
    return entry.name.startswith(UNFINISHED)


def _refused(out: Path, fault: OSError) -> InputError:
    file = f" ({fault.filename})" if fault.filename and Path(fault.filename) != out else ""
    return InputError(
        f"--out: the folder {out} cannot be written: {fault.strerror or fault}{file}. Nothing was left in it. Name a "
        "folder that you may write to, on a disk with room."
    )

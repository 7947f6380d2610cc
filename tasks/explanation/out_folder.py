"""A folder of results that is there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.config import InputError
from tasks.dataset.wording import listed

UNFINISHED = ".unfinished"
"""Where results are written until all are there; what a killed call has left of it is removed by the next."""


def check_out(out: Path) -> None:
    """Refuse a place for results that holds something already.

    Raises
    ------
    InputError
        It is no folder, or holds files, or cannot be looked into.
    """
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"--out: {out} is a file, not a folder. Name a folder that is new or empty.")
        held = sorted(entry.name for entry in out.iterdir() if entry.name != UNFINISHED) if out.is_dir() else []
    except OSError as fault:
        raise _refused(out, fault) from fault
    if held:
        raise InputError(
            f"--out: the folder {out} is not empty ({listed(held, 3)}), and nothing is overwritten. Name a folder "
            "that is new or empty."
        )


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[Path]:
    """Give a folder to write in, whose content stands in `out` when the block ends without an error.

    Parameters
    ----------
    out : Path
        New or empty; it is made, and unmade where the block fails.

    Raises
    ------
    InputError
        It holds something, or cannot be written: what the block could not write is said so too.
    """
    check_out(out)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    scratch = out / UNFINISHED
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
        for entry in sorted(scratch.iterdir()):
            entry.rename(out / entry.name)
        scratch.rmdir()
    except BaseException as fault:
        shutil.rmtree(scratch, ignore_errors=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(fault, OSError):
            raise _refused(out, fault) from fault
        raise


def _refused(out: Path, fault: OSError) -> InputError:
    return InputError(f"The folder {out} cannot be written: {fault.strerror or fault}. Nothing was left in it.")

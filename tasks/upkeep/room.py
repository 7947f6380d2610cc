"""A disk without room, or one that cannot be written: known by its many faces, and told as one plain paragraph."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tasks.dataset.wording import listed
from tasks.settings.base import causes

_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
NO_ROOM = ("No space left on device", "database or disk is full", "Disk quota exceeded", "Read-only file system")
"""What databases, file formats and servers say of the same, in words of their own or the system's."""
_SCARCE = 64 << 20


def no_room_told(fault: BaseException, folders: Sequence[Path]) -> str | None:
    """Give what to say of a fault that comes from a disk that is full or cannot be written; None for any other.

    Parameters
    ----------
    fault
        What was raised; what it was raised from is looked at too.
    folders
        Where foldcam writes: those with hardly any room are named.
    """
    if not any(_is_no_room(own) for own in causes(fault)):
        return None
    names = [str(own.filename) for own in causes(fault) if isinstance(own, OSError) and own.filename]
    scarce = [f"{folder} ({free / 1e6:,.0f} MB left)" for folder, free in _free(folders) if free < _SCARCE]
    where = listed(dict.fromkeys([*scarce, *names]), 4) or listed(folders, 4)
    return (
        f"A disk is full, or cannot be written: {where}. Make room there and run the same command again: what was "
        "finished is kept, and only the rest is done. `foldcam clean --cache --dry-run` shows what foldcam can spare."
    )


def _is_no_room(fault: BaseException) -> bool:
    if isinstance(fault, OSError) and fault.errno in _NUMBERS:
        return True
    return any(words in str(fault) for words in NO_ROOM)


def _free(folders: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    for folder in folders:
        with suppress(OSError):
            yield folder, shutil.disk_usage(folder).free

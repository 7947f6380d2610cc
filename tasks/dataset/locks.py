"""File locks between processes; where the file system has none, work may be done twice and nothing breaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]


@contextmanager
def filling(lock: Path) -> Iterator[None]:
    """Hold the lock alone; wait while another process or thread holds it. The lock file goes away with it."""
    handle = _hold_alone(lock)
    try:
        yield
    finally:
        if handle is not None:
            lock.unlink(missing_ok=True)
            os.close(handle)


def nobody_fills(lock: Path) -> bool:
    """Return whether surely no process holds this lock at the moment."""
    if fcntl is None:
        return False
    try:
        handle = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        return _try_lock(handle, if_unknown=False)
    finally:
        os.close(handle)


def hold_shared(file: Path) -> int | None:
    """Return an open descriptor of the file that marks it as in use until it is closed, or None if it is not there."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
    if _is_still(file, handle):
        return handle
    os.close(handle)
    return None


def may_remove(file: Path) -> bool:
    """Return whether no process is known to use the file by `hold_shared`."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _try_lock(handle, if_unknown=True)
    finally:
        os.close(handle)


def hold_existing(file: Path, *, alone: bool, wait: bool = False) -> int | None:
    """Return a descriptor of the file that holds its lock until it is closed, alone or with others.

    None if others hold it (with `wait`, they are waited for), if the file is not there or goes away meanwhile, or if
    there are no locks.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(file, os.O_RDWR)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
        if _is_still(file, handle):
            return handle
    os.close(handle)
    return None


def hold_when_free(lock: Path, pause: Callable[[], bool], *, alone: bool) -> int | None:
    """Return a descriptor that holds the lock, alone or with others, until it is closed; the lock file is made.

    While others hold it, `pause` is called again and again; None once that gives False, or if there are no locks.

    Raises
    ------
    OSError
        The lock file cannot be made.
    """
    if fcntl is None:
        return None
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            if _is_still(lock, handle):
                return handle
        except BlockingIOError:
            if not pause():
                os.close(handle)
                return None
        except OSError:
            os.close(handle)
            return None
        os.close(handle)


def _hold_alone(lock: Path) -> int | None:
    if fcntl is None:
        return None
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            os.close(handle)
            return None
        if _is_still(lock, handle):
            return handle
        os.close(handle)


def _try_lock(handle: int, *, if_unknown: bool) -> bool:
    if fcntl is None:
        return if_unknown
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return if_unknown
    return True


def _is_still(file: Path, handle: int) -> bool:
    """Whether the path still names the file that was opened; another process may have removed it in between."""
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

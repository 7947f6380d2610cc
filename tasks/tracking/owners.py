"""Which process a run belongs to, and whether that process still lives, whatever the clock has done meanwhile."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil


def this_process() -> str:
    """Give the owner of a run that this process makes: machine, process number, and which process of that number."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_of(os.getpid())}"


def is_orphan(owner: str) -> bool:
    """Tell whether a run's owner was a process of this machine that has ended; False where that cannot be known."""
    host, _, start = owner.rpartition(":")
    host, _, pid = host.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        if start.startswith(_TICKS):
            return _start_of(int(pid)) != start
        return abs(psutil.Process(int(pid)).create_time() - float(start)) > 1.0
    except psutil.NoSuchProcess:
        return True
    except ValueError:
        return False


_TICKS = "t"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def _start_of(pid: int) -> str:
    """Give when a process started, by the machine's ticks since it was booted where it has those.

    Seconds since 1970 would change for a living process when the clock is set.

    Raises
    ------
    psutil.NoSuchProcess
        There is no such process.
    """
    if not _BOOT.exists():
        return f"{psutil.Process(pid).create_time():.2f}"
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        raise psutil.NoSuchProcess(pid) from None
    if fields[0] in "ZX":  # it has ended and waits for its parent to look
        raise psutil.NoSuchProcess(pid)
    return f"{_TICKS}{_BOOT.read_text(encoding='utf-8').strip()[:8]}-{fields[19]}"

"""Looking at the processes that foldcam starts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psutil

Found = TypeVar("Found")

PATIENCE = 4
"""How many times longer than on a machine of one's own to wait: machines are shared."""


def workers_of(pid: int) -> list[psutil.Process]:
    """Give the worker processes below a process."""
    return [child for child in psutil.Process(pid).children(recursive=True) if _is_worker(child)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Give those of the processes that still run."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """See to it that a process and all below it are gone when the block is left, whatever happened in it."""
    try:
        yield
    finally:
        if process.poll() is None:
            for below in [*psutil.Process(process.pid).children(recursive=True), process]:
                below.kill()
            process.wait()


def until(look: Callable[[], Found], seconds: float, what: str) -> Found:
    """Wait until `look` gives something true and give it; `seconds` are those of an idle machine.

    Looking takes less than half the time: what is waited for may run on the same core.
    """
    end = time.monotonic() + PATIENCE * seconds
    while (now := time.monotonic()) < end:
        found = look()
        if found:
            return found
        time.sleep(min(1.0, max(0.1, 1.5 * (time.monotonic() - now))))
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "tasks.workers.child" in process.cmdline()
    except psutil.Error:
        return False

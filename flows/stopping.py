"""The end of a schedule: a run under way is told to end, and Prefect's server stays until it has said how it ended."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from prefect.runner import Runner

STOP_SECONDS, END_SECONDS = 5, 60
"""How long a run may take to end by itself, since a Ctrl-C reaches it too, and after it was told so by us."""


@contextmanager
def ended_in_order() -> Iterator[None]:
    """End the runs of Prefect's runner with it, whether Ctrl-C or SIGTERM ends the block.

    asyncio turns a Ctrl-C into an end in order where it finds Python's own handler, and else breaks off anywhere, as
    Prefect's answer to SIGTERM does: here that is one more Ctrl-C. The runner would wait for its runs for ever.
    """
    answer, leave, on_sigterm = signal.getsignal(signal.SIGINT), Runner.__aexit__, Runner.handle_sigterm

    async def leave_with_runs(runner: Runner, *fault: Any) -> None:
        threading.Thread(target=_end_runs, daemon=True).start()
        await leave(runner, *fault)

    setattr(Runner, "__aexit__", leave_with_runs)  # noqa: B010
    if answer is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        setattr(Runner, "handle_sigterm", lambda *_: signal.raise_signal(signal.SIGINT))  # noqa: B010
    try:
        yield
    finally:
        _end_runs()
        signal.signal(signal.SIGINT, answer)
        setattr(Runner, "__aexit__", leave)  # noqa: B010
        setattr(Runner, "handle_sigterm", on_sigterm)  # noqa: B010


def _end_runs() -> None:
    runs = [own for own in psutil.Process().children() if _is_run(own)]
    for run in _living(runs, STOP_SECONDS):
        with suppress(psutil.Error):
            run.send_signal(signal.SIGINT)
    for run in _living(runs, END_SECONDS):
        with suppress(psutil.Error):
            run.kill()


def _is_run(process: psutil.Process) -> bool:
    """Tell whether a child of this process does a flow run, and is no server."""
    try:
        return any("multiprocessing.spawn" in part for part in process.cmdline())
    except psutil.Error:
        return False


def _living(runs: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes, and give those that still live when the time is over."""
    until = time.monotonic() + seconds
    while (living := [own for own in runs if _lives(own)]) and time.monotonic() < until:
        time.sleep(0.1)
    return living


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

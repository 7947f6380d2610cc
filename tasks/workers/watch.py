"""Watches a worker while it does a job: its time limit, its signs of life, and what it died of."""

from __future__ import annotations

import errno
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

BEAT_SECONDS = 2.0
"""How often a worker that does a job gives a sign of life."""

SILENCE_SECONDS = 300.0
"""How long a worker may give none before it counts as stopped, by a signal or by a machine that is out of memory."""

_OUT_OF_MEMORY = re.compile(r"bad_alloc|MemoryError|ResourceExhausted|out of memory|\bOOM\b", re.IGNORECASE)


class Watch:
    """Kills a worker that takes longer than it may or gives no sign of life, for as long as a `with` block lasts.

    A time in which this process is stopped itself does not count as the worker's silence.

    Parameters
    ----------
    kill : callable
        Ends the worker.
    timeout : float or None
        The longest that the block may take, in seconds.
    silence : float
        The longest without a sign of life, in seconds.
    """

    def __init__(self, kill: Callable[[], None], timeout: float | None, silence: float = SILENCE_SECONDS) -> None:
        self._kill, self._timeout, self._silence = kill, timeout, silence
        self._tick = min(1.0, silence / 4)
        self._silent = 0.0
        self._over = threading.Event()
        self.verdict = ""
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def heard(self) -> None:
        """Take note of a sign of life."""
        self._silent = 0.0

    def _watch(self) -> None:
        started = last = time.monotonic()
        while not self._over.wait(self._pause(started)):
            now = time.monotonic()
            self._silent += min(now - last, 2 * self._tick)
            last = now
            if self._timeout is not None and now - started >= self._timeout:
                self.verdict = f"it took longer than the limit of {self._timeout:g} seconds"
            elif self._silent >= self._silence:
                self.verdict = (
                    f"the worker gave no sign of life for {self._silence:g} seconds: it was stopped by a signal, or "
                    "the machine is out of memory and swaps"
                )
            if self.verdict:
                self._kill()
                return

    def _pause(self, started: float) -> float:
        if self._timeout is None:
            return self._tick
        return max(0.0, min(self._tick, started + self._timeout - time.monotonic()))


def cause_of_death(code: int | None, last_words: Sequence[str], kernel_kills: int) -> tuple[str, bool]:
    """Word what a worker died of, and tell whether it was for want of memory, as far as the system says.

    Parameters
    ----------
    code : int or None
        Its exit code; negative: the signal; None: it had not ended by itself.
    last_words : sequence of str
        What it wrote last to its standard error.
    kernel_kills : int
        How many processes the kernel has killed for want of memory while it worked.
    """
    words = [line for line in last_words if line.strip()]
    if code == -signal.SIGKILL:
        if kernel_kills:
            return "the worker process died: killed by the kernel, which was out of memory", True
        return "the worker process died: killed by SIGKILL (often: out of memory)", False
    memory = any(_OUT_OF_MEMORY.search(line) for line in words)
    if code is None:
        how = "it closed its output and had to be ended"
    else:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    tail = f"; its last words: {words[-1][:300]}" if words and code != 0 else ""
    return f"the worker process died: {'out of memory, ' if memory else ''}{how}{tail}", memory


def kernel_kills() -> int:
    """Count the processes that the kernel has killed for want of memory, in this control group or on this machine."""
    files = [Path("/proc/vmstat"), *_control_group_files()]
    return sum(int(count) for file in files for count in re.findall(r"^oom_kill (\d+)$", _text(file), re.MULTILINE))


def is_out_of_memory(fault: BaseException) -> bool:
    """Tell whether Python, NumPy, TensorFlow or the system's loader could not get the memory that it asked for."""
    names = {kind.__name__ for kind in type(fault).__mro__}
    if names & {"MemoryError", "ResourceExhaustedError"}:
        return True
    unmapped = isinstance(fault, ImportError) and "failed to map segment" in str(fault)
    return unmapped or (isinstance(fault, OSError) and fault.errno == errno.ENOMEM)


def _control_group_files() -> list[Path]:
    groups = re.findall(r"^0::(/.*)$", _text(Path("/proc/self/cgroup")), re.MULTILINE)
    root = Path("/sys/fs/cgroup")
    return [root / group.lstrip("/") / "memory.events" for group in groups]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""

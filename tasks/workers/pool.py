"""A pool of warm worker processes: leased to one caller at a time, watched, replaced when they die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from tasks.workers.log_lines import message_of, relay
from tasks.workers.order import Order
from tasks.workers.scratch import Scratch
from tasks.workers.watch import SILENCE_SECONDS, Watch, cause_of_death, kernel_kills


class JobFailed(RuntimeError):
    """A job came back as failed. `final`: trying again would end the same way."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it travel between machines; the constructors of its kinds take other arguments than they keep."""
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[JobFailed], arguments: tuple[Any, ...], own: dict[str, Any]) -> JobFailed:
    fault = kind.__new__(kind, *arguments)
    fault.__dict__.update(own)
    return fault


class PoolClosed(JobFailed):
    """The pool was closed while the job ran or before it began."""

    def __init__(self) -> None:
        super().__init__("stopped before it was done", final=True)


class OutOfMemory(JobFailed):
    """A job could not get the memory that it needed; a smaller one may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, final=False)


class Worker:
    """One child process that does jobs, one after the other.

    Parameters
    ----------
    threads : int
        TensorFlow's threads in it.
    deterministic : bool
        Whether results must repeat to the last bit.
    environment : mapping of str to str
        Variables laid over the parent's own.
    silence : float
        How long it may give no sign of life while it does a job, in seconds.
    """

    def __init__(
        self, threads: int, deterministic: bool, environment: Mapping[str, str], silence: float = SILENCE_SECONDS
    ) -> None:
        self._silence = silence
        mode = "deterministic" if deterministic else "fast"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.workers.child", str(threads), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | _quiet(threads) | dict(environment),
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._last_words: deque[str] = deque(maxlen=40)
        self._listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def do(self, order: Order, on_event: Callable[[dict[str, Any]], None], timeout: float | None) -> dict[str, Any]:
        """Do one job and give its result; blocks until it ends, one way or another.

        Raises
        ------
        JobFailed
            The job failed, took longer than `timeout` seconds, or the process died.
        """
        kills_before = kernel_kills()
        with Watch(self.kill, timeout, self._silence) as watch:
            try:
                return self._converse(order, on_event, watch)
            except _Died:
                if watch.verdict:
                    raise JobFailed(watch.verdict, final=False) from None
                raise self._obituary(kills_before) from None
            except OutOfMemory:
                self.kill()  # what is left of its memory is in pieces
                raise
            except JobFailed:
                raise
            except BaseException:
                self.kill()  # what it still sends must not answer the next order
                raise

    def _converse(self, order: Order, on_event: Callable[[dict[str, Any]], None], watch: Watch) -> dict[str, Any]:
        if self.process.stdin is None or self.process.stdout is None:
            raise _Died
        try:
            self.process.stdin.write(json.dumps(order.to_json()) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise _Died from None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except json.JSONDecodeError:
                break
            watch.heard()
            if "event" in message:
                on_event(message["event"])
            elif "result" in message:
                return dict(message["result"])
            elif message.get("memory"):
                raise OutOfMemory(message["failed"])
            elif "failed" in message:
                raise JobFailed(message["failed"], final=message["final"])
        raise _Died

    def kill(self) -> None:
        """End the process and all it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _listen(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            self._last_words.append(message_of(line.rstrip()))
            relay(line)

    def _obituary(self, kills_before: int) -> JobFailed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)  # it closes its output before it has ended, with a code of its own
        code = self.process.returncode
        self.kill()
        self._listener.join(timeout=2)
        killed = max(0, kernel_kills() - kills_before)
        said, memory = cause_of_death(code, self._last_words, killed)
        return OutOfMemory(said) if memory else JobFailed(said, final=False)


class WorkerPool:
    """As many workers as there are slots, started at once so that they are warm when the first job comes.

    Parameters
    ----------
    slots : sequence of mappings
        One environment a slot, such as `{"CUDA_VISIBLE_DEVICES": "0"}`.
    threads : int
        TensorFlow's threads a worker.
    deterministic : bool
        Whether results must repeat to the last bit.
    silence : float
        How long a worker may give no sign of life while it does a job, in seconds.
    """

    def __init__(
        self,
        slots: Sequence[Mapping[str, str]],
        *,
        threads: int,
        deterministic: bool,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._scratch = Scratch()
        self._threads, self._deterministic, self._silence = threads, deterministic, silence
        self._environments = [{"TMPDIR": str(self._scratch.folder), **slot} for slot in slots]
        self._lock = threading.Lock()
        self._closed = False
        self._workers = [self._new(index) for index in range(len(slots))]
        self._idle = threading.Condition(self._lock)
        self._idle_slots = list(range(len(slots)))
        self._known: list[set[str]] = [set() for _ in slots]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the pool takes no more jobs."""
        return self._closed

    @property
    def size(self) -> int:
        """How many jobs are done at a time."""
        return len(self._workers)

    def process_ids(self) -> list[int]:
        """Give the process id of each slot's present worker."""
        return [worker.process.pid for worker in self._workers]

    def do(
        self, order: Order, on_event: Callable[[dict[str, Any]], None], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Lease an idle worker, waiting for one if need be, do the job on it and give its result.

        Of several idle workers, one is taken that has built the backbone before.

        Raises
        ------
        JobFailed
            The job failed, its worker died, or the pool was closed.
        """
        with self._lease(order.backbone) as worker:
            try:
                return worker.do(order, on_event, timeout)
            except JobFailed:
                if self._closed:
                    raise PoolClosed from None
                raise

    @contextlib.contextmanager
    def _lease(self, backbone: str) -> Iterator[Worker]:
        with self._idle:
            self._idle.wait_for(lambda: self._idle_slots or self._closed)
            if self._closed:
                raise PoolClosed
            knowing = [slot for slot in self._idle_slots if backbone in self._known[slot]]
            slot = min(knowing or self._idle_slots, key=lambda slot: len(self._known[slot]))
            if not self._workers[slot].alive:
                self._workers[slot].kill()
                self._workers[slot], self._known[slot] = self._new(slot), set()
            self._known[slot].add(backbone)
            self._idle_slots.remove(slot)
            worker = self._workers[slot]
        try:
            yield worker
        finally:
            with self._idle:
                self._idle_slots.append(slot)
                self._idle.notify()

    def _new(self, index: int) -> Worker:
        return Worker(self._threads, self._deterministic, self._environments[index], self._silence)

    def close(self) -> None:
        """End all workers at once; jobs that wait or run fail with `PoolClosed`."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()
            self._idle.notify_all()
        self._scratch.remove()


class _Died(Exception):
    """The worker's pipe broke."""


def _quiet(threads: int) -> dict[str, str]:
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "MPLBACKEND": "Agg",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PYTHONUNBUFFERED": "1",
    }

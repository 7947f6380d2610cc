"""Workers that are started when they are first needed, kept warm for the next job, and ended once nothing comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tasks.workers.order import Order
from tasks.workers.pool import PoolClosed, WorkerPool

IDLE_SECONDS = 60.0
"""How long a worker waits for the next job before its memory, and its GPU, are given back."""


class Workers(Protocol):
    """Whoever does orders in worker processes: a pool, or warm workers."""

    @property
    def closed(self) -> bool:
        """Whether no more jobs are taken."""

    @property
    def size(self) -> int:
        """How many jobs are done at a time."""

    def do(
        self, order: Order, on_event: Callable[[dict[str, Any]], None], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Do a job and give its result."""

    def close(self) -> None:
        """End all workers at once."""


class WarmWorkers:
    """As many workers as jobs come at a time, each with the environment that the job came with.

    Parameters
    ----------
    threads : int
        TensorFlow's threads a worker.
    deterministic : bool
        Whether results must repeat to the last bit.
    environment : callable
        Gives the variables of the worker that a job needs, such as the GPU that an engine has set aside for it.
    size : int
        How many jobs come at a time at most, as far as known.
    idle_seconds : float
        How long a worker waits for the next job before it is ended.
    """

    def __init__(
        self,
        *,
        threads: int,
        deterministic: bool,
        environment: Callable[[], Mapping[str, str]] = dict,
        size: int = 1,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.size = size
        self.closed = False
        self._threads, self._deterministic = threads, deterministic
        self._environment, self._idle_seconds = environment, idle_seconds
        self._lock = threading.Lock()
        self._idle: dict[WorkerPool, tuple[dict[str, str], threading.Timer]] = {}
        self._busy: set[WorkerPool] = set()

    def __enter__(self) -> WarmWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def do(
        self, order: Order, on_event: Callable[[dict[str, Any]], None], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Do a job on a worker that waits, or on a new one, and give its result.

        Raises
        ------
        JobFailed
            The job failed, took longer than `timeout` seconds, its worker died, or the workers were closed.
        """
        environment = dict(self._environment())
        worker = self._taken(environment)
        try:
            return worker.do(order, on_event, timeout=timeout)
        finally:
            self._give_back(worker, environment)

    def process_ids(self) -> list[int]:
        """Give the process ids of all workers, those at work and those that wait."""
        with self._lock:
            return [pid for worker in (*self._busy, *self._idle) for pid in worker.process_ids()]

    def close(self) -> None:
        """End all workers at once; jobs that run fail with `PoolClosed`."""
        with self._lock:
            self.closed = True
            left = [*self._busy, *self._idle]
            for _, timer in self._idle.values():
                timer.cancel()
            self._idle.clear()
        for worker in left:
            worker.close()

    def _taken(self, environment: dict[str, str]) -> WorkerPool:
        with self._lock:
            if self.closed:
                raise PoolClosed
            fitting = [worker for worker, (own, _) in self._idle.items() if own == environment]
            worker = fitting[-1] if fitting else self._new(environment)
            if fitting:
                self._idle.pop(worker)[1].cancel()
            self._busy.add(worker)
        return worker

    def _new(self, environment: Mapping[str, str]) -> WorkerPool:
        return WorkerPool([environment], threads=self._threads, deterministic=self._deterministic)

    def _give_back(self, worker: WorkerPool, environment: dict[str, str]) -> None:
        with self._lock:
            self._busy.discard(worker)
            if self.closed:
                return
            timer = threading.Timer(self._idle_seconds, self._end, [worker])
            timer.daemon = True
            self._idle[worker] = (environment, timer)
            timer.start()

    def _end(self, worker: WorkerPool) -> None:
        with self._lock:
            if self._idle.pop(worker, None) is None:
                return
        worker.close()

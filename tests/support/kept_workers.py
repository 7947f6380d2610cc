"""Worker processes that outlive their pool and serve the next experiment, as a cluster's nodes let theirs do."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.workers.pool import Worker, WorkerPool
from tasks.workers.scratch import Scratch

_Kind = tuple[object, ...]

_SAID_BY_ORDERS = {"FOLDCAM_HOME", "MLFLOW_TRACKING_URI"}
_OF_NO_WORKER = {"COLUMNS", "PREFECT_API_URL", "PYTEST_CURRENT_TEST", "TMPDIR"}

_waiting: dict[_Kind, list[Worker]] = {}
_scratches: list[Scratch] = []


class KeptPool(WorkerPool):
    """A pool that takes workers which wait before it starts new ones, and lets those that are idle at its end wait."""

    def close(self) -> None:
        """End the workers that are busy; the others wait, with their folder for temporary files."""
        with self._lock:
            idle = [] if self._closed else self._idle_slots
            for slot in idle:
                _waiting.setdefault(self._kind(slot), []).append(self._workers[slot])
            self._workers = [worker for slot, worker in enumerate(self._workers) if slot not in idle]
            if idle:
                _scratches.append(self._scratch)
                self._scratch = Scratch()
        super().close()

    def _new(self, index: int) -> Worker:
        waiting = _waiting.get(self._kind(index), [])
        while waiting:
            if (worker := waiting.pop()).alive:
                return worker
        return super()._new(index)

    def _kind(self, slot: int) -> _Kind:
        variables = os.environ | self._environments[slot]
        own = [(name, variables[name]) for name in sorted(variables.keys() - _SAID_BY_ORDERS - _OF_NO_WORKER)]
        return self._threads, self._deterministic, *own


@contextmanager
def kept_workers() -> Iterator[None]:
    """Let experiments that are run in this process share their workers: each costs seconds to start.

    Not for tests that look at the workers themselves, or at what two fresh ones give.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in ("flows.workforce", "flows.explain"):
            patch.setattr(f"{module}.WorkerPool", KeptPool)
        yield


@atexit.register
def _end() -> None:
    for worker in [worker for waiting in _waiting.values() for worker in waiting]:
        worker.kill()
    for scratch in _scratches:
        scratch.remove()

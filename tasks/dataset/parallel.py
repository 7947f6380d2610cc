"""Work spread over threads, with progress and a clean way out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]
"""Is called with how many are done and how many there are."""

_AHEAD = 32
"""Items a worker that wait for their turn or to be taken: memory does not grow with their number."""


def usable_cores() -> int:
    """Return the number of cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[R]:
    """Return the results of `function` on every item, in the items' order.

    Parameters
    ----------
    function
        Is called in several threads at once.
    items
        What it is called with.
    workers
        Number of threads; by default one a core.
    progress
        Is called in the calling thread, after each result.

    Raises
    ------
    Exception
        The first one that `function` raises, in the items' order; what has not begun then is dropped.
    """
    results: list[R] = []
    workers = workers or usable_cores()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="foldcam-images")
    ahead: deque[Future[R]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) >= _AHEAD * workers:
                _take(ahead, results, len(items), progress)
        while ahead:
            _take(ahead, results, len(items), progress)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results


def _take(ahead: deque[Future[R]], results: list[R], total: int, progress: Progress | None) -> None:
    results.append(ahead.popleft().result())
    if progress is not None:
        progress(len(results), total)

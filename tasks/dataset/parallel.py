"""Work spread over threads, with progress and a clean way out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]
"""Is called with how many are done and how many there are."""


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
    pool = ThreadPoolExecutor(workers or usable_cores(), thread_name_prefix="foldcam-images")
    try:
        for result in pool.map(function, items):
            results.append(result)
            if progress is not None:
                progress(len(results), len(items))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results

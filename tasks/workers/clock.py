"""Seconds by step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()
        self._earlier = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside under `name`."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that an earlier process spent on a step that has been timed here."""
        self.seconds[name] += seconds
        self._earlier += seconds

    def total(self) -> float:
        """Give the seconds since the clock was made, and those of earlier processes."""
        return time.perf_counter() - self._started + self._earlier

"""The time that runs and figures are recorded with: each moment lies after the one before, whatever the clock does."""

from __future__ import annotations

import threading

from mlflow.utils.time import get_current_time_millis


class Moments:
    """Gives the time in milliseconds since 1970, and never goes back.

    MLflow takes the run that started last, and the value that was logged last, for the newest. Where the clock was set
    back, or two things happened in one millisecond, that would be the wrong one.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def now(self) -> int:
        """Give a moment after all that were given before."""
        with self._lock:
            self._last = max(get_current_time_millis(), self._last + 1)
            return self._last

    def begin_after(self, moment: int) -> None:
        """Let all moments from now on lie after one that is on record."""
        with self._lock:
            self._last = max(self._last, moment)


moments = Moments()
"""This process's own."""

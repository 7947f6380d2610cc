"""How far an experiment has come, and how long it may still take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from tasks.workers.events import FoldEvent, FoldState, StepEvent

FINAL: frozenset[FoldState] = frozenset({"completed", "reused", "failed"})
"""The states after which nothing more happens to a fold run."""


@dataclass
class Progress:
    """Where every fold run stands, and how long the rest may take.

    Attributes
    ----------
    backbones, folds
        What is run.
    workers
        Fold runs at a time.
    clock
        Gives the time in seconds.
    started
        When the experiment began, by that clock.
    """

    backbones: Sequence[str]
    folds: Sequence[int]
    workers: int = 1
    clock: Callable[[], float] = time.monotonic
    started: float | None = None
    events: dict[tuple[str, int], FoldEvent] = field(init=False)
    step: StepEvent | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.started = self.clock() if self.started is None else self.started
        self.events = {(name, fold): FoldEvent(name, fold, "waiting") for name in self.backbones for fold in self.folds}
        self._lock = threading.Lock()
        self._began: dict[tuple[str, int], float] = {}
        self._took: dict[tuple[str, int], float] = {}

    def take(self, event: FoldEvent | StepEvent) -> bool:
        """Take in what happened; True if a fold run's state or the step is another one than before.

        Raises
        ------
        KeyError
            If the event is of a fold run that is not among those to be run.
        """
        with self._lock:
            if isinstance(event, StepEvent):
                changed = self.step is None or self.step.step != event.step
                self.step = event
                return changed
            key = (event.backbone, event.fold)
            before = self.events[key]
            if before.state in FINAL and event.state not in FINAL:
                return False  # word of an earlier state that was overtaken on its way
            self.events[key] = event
            if event.state == "starting" or (key not in self._began and event.state not in {"waiting", *FINAL}):
                self._began[key] = self.clock()
            if event.state == "completed" and key in self._began:
                self._took[key] = self.clock() - self._began[key]
            return before.state != event.state

    def elapsed(self) -> float:
        """Give the seconds since the start."""
        return self.clock() - (self.started or 0.0)

    def seconds_of(self, backbone: str, fold: int) -> float | None:
        """Give the seconds that a completed fold run took; None for any other."""
        return self._took.get((backbone, fold))

    def snapshot(self) -> dict[tuple[str, int], FoldEvent]:
        """Copy the last event of every fold run."""
        with self._lock:
            return dict(self.events)

    def n_final(self) -> int:
        """Count the fold runs to which nothing more will happen."""
        return sum(event.state in FINAL for event in self.snapshot().values())

    def remaining(self) -> float | None:
        """Estimate the seconds to the last fold run's end; None before the first one is completed.

        Each outstanding run is expected to take what its backbone's completed runs took on the mean, or all
        backbones' where it has none; the sum, less what is done of the running ones, is spread over the workers,
        and is never below the longest single run.
        """
        with self._lock:
            if not self._took:
                return None
            overall = fmean(self._took.values())
            left: list[float] = []
            for (backbone, fold), event in self.events.items():
                if event.state in FINAL:
                    continue
                own = [seconds for (name, _), seconds in self._took.items() if name == backbone]
                expected = fmean(own) if own else overall
                running = event.state not in ("waiting", "retrying")
                spent = self.clock() - self._began[backbone, fold] if running else 0.0
                left.append(max(0.0, expected - spent))
        return max(sum(left) / max(1, self.workers), max(left)) if left else 0.0

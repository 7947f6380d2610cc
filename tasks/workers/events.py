"""What happens while an experiment runs, told to whoever listens: a live display, a log, a test."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

_log = logging.getLogger(__name__)

FoldState: TypeAlias = Literal[
    "waiting",
    "starting",
    "training",
    "evaluating",
    "explaining",
    "logging",
    "completed",
    "reused",
    "failed",
    "retrying",
]


@dataclass(frozen=True)
class FoldEvent:
    """A fold run's new state.

    Attributes
    ----------
    backbone, fold
        Which fold run.
    state
        What it does now. `completed`, `reused` and `failed` are final; `failed` is sent once no retry is left.
    epoch, epochs
        The epoch that has just ended, counted from 1, and the most that there can be; while training.
    metric, value
        A metric's name and value: on the validation images while training, on the test images once completed.
    message
        Why, in words: the reason of a failure or of a retry.
    kind
        What kind of failure it is; see `tasks.workers.failures`.
    seconds
        What the epoch that has just ended took, or the fold run once it is completed.
    images
        How many images the epoch was trained on.
    """

    backbone: str
    fold: int
    state: FoldState
    epoch: int | None = None
    epochs: int | None = None
    metric: str | None = None
    value: float | None = None
    message: str = ""
    kind: str = ""
    seconds: float | None = None
    images: int | None = None


@dataclass(frozen=True)
class StepEvent:
    """The step that the experiment as a whole has come to, such as `decoding images`.

    Attributes
    ----------
    step
        What is done now, in words.
    done, total
        How much of it is done, of how much; both or neither.
    """

    step: str
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class PlanEvent:
    """The fold runs that are done already or will be are known.

    Attributes
    ----------
    backbones
        Names in the order of the file.
    folds
        Numbers of the folds.
    metric
        What the values of later events are.
    workers
        Fold runs at a time.
    """

    backbones: tuple[str, ...]
    folds: tuple[int, ...]
    metric: str
    workers: int


FROM_WORKERS = ("epoch", "epochs", "metric", "value", "seconds", "images")
"""What workers say of a fold run beside its state: fields of `FoldEvent`."""

Event: TypeAlias = FoldEvent | StepEvent | PlanEvent
Listener: TypeAlias = Callable[[Event], None]

_lock = threading.Lock()
_listeners: list[Listener] = []


@contextmanager
def subscribe(listener: Listener) -> Iterator[None]:
    """Call `listener` with every event for as long as the `with` block lasts.

    It is called in the thread that publishes, so several calls may be under way at once.
    """
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            index = next(i for i, known in enumerate(_listeners) if known is listener)
            del _listeners[index]


def publish(event: Event) -> None:
    """Tell every listener of `event`; one that raises is logged and does not disturb the run or the others."""
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        try:
            listener(event)
        except Exception:
            _log.warning("A listener failed on %r.", event, exc_info=True)

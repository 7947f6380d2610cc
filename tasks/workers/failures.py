"""Kinds of failure, for figures and for people who look for what keeps going wrong."""

from __future__ import annotations

from typing import Literal, get_args

from tasks.config import InputError
from tasks.upkeep.room import NO_ROOM
from tasks.workers.pool import JobFailed, OutOfMemory, PoolClosed

Kind = Literal["input", "diverged", "memory", "disk", "killed", "died", "time limit", "stopped", "server", "other"]

KINDS: tuple[Kind, ...] = get_args(Kind)

_SAID: tuple[tuple[str, Kind], ...] = (
    ("longer than the limit", "time limit"),
    ("no sign of life", "time limit"),
    ("killed by the kernel", "memory"),
    ("running low on memory", "memory"),
    *((words.lower(), "disk") for words in NO_ROOM),
    ("damaged or gone", "disk"),
    ("killed by", "killed"),
    ("out of memory", "memory"),
    ("workers died while running", "killed"),
    ("worker died unexpectedly", "killed"),
    ("node has died", "killed"),
    ("taken for lost", "killed"),
    ("worker process died", "died"),
    ("the fit diverged", "diverged"),
    ("mlflow", "server"),
    ("connection", "server"),
)


def kind_of(fault: BaseException) -> Kind:
    """Give what kind of failure ended a fold run.

    `input`: a setting, weight file or image; `diverged`: the loss became NaN; `memory`: out of memory, as far as the
    system tells; `disk`: full, read-only, or a file in the cache that is damaged; `killed` and `died`: the worker's
    process or its node ended by a signal or was lost, or ended by itself; `time limit`: it took too long, or gave no
    sign of life; `stopped`: the experiment was; `server`: MLflow's or its artifact store's; `other`: a fault of
    foldcam's own.
    """
    if isinstance(fault, PoolClosed) or not isinstance(fault, Exception):
        return "stopped"
    if isinstance(fault, OutOfMemory):
        return "memory"
    said = str(fault).lower()
    if isinstance(fault, InputError):
        return "disk" if any(words.lower() in said for words in NO_ROOM) else "input"
    found = next((kind for words, kind in _SAID if words in said), None)
    if found is not None:
        return found
    return "input" if isinstance(fault, JobFailed) and fault.final else "other"

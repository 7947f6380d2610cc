"""Kinds of failure, for figures and for people who look for what keeps going wrong."""

from __future__ import annotations

from typing import Literal, get_args

from tasks.config import InputError
from tasks.workers.pool import JobFailed, OutOfMemory, PoolClosed

Kind = Literal["input", "diverged", "memory", "killed", "died", "time limit", "stopped", "server", "other"]

KINDS: tuple[Kind, ...] = get_args(Kind)

_SAID: tuple[tuple[str, Kind], ...] = (
    ("longer than the limit", "time limit"),
    ("no sign of life", "time limit"),
    ("killed by", "killed"),
    ("out of memory", "memory"),
    ("worker process died", "died"),
    ("the fit diverged", "diverged"),
    ("mlflow", "server"),
    ("connection", "server"),
)


def kind_of(fault: BaseException) -> Kind:
    """Give what kind of failure ended a fold run.

    `input`: a setting, weight file or image; `diverged`: the loss became NaN; `memory`: out of memory, as far as the
    system tells; `killed` and `died`: the worker's process ended by a signal or by itself; `time limit`;
    `stopped`: the experiment was; `server`: MLflow's or its artifact store's; `other`: a fault of foldcam's own.
    """
    if isinstance(fault, PoolClosed) or not isinstance(fault, Exception):
        return "stopped"
    if isinstance(fault, OutOfMemory):
        return "memory"
    if isinstance(fault, InputError):
        return "input"
    said = str(fault).lower()
    found = next((kind for words, kind in _SAID if words in said), None)
    if found is not None:
        return found
    return "input" if isinstance(fault, JobFailed) and fault.final else "other"

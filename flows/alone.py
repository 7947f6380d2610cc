"""One run of an experiment at a time: a second one of the same waits for the first, and then reuses what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from flows.observing import observed
from tasks.tracking.store import tracking_uri
from tasks.workers.claims import claimed, experiment_key
from tasks.workers.events import StepEvent, publish


class _Plan(Protocol):
    @property
    def cache_folder(self) -> Path: ...

    @property
    def fingerprint(self) -> str: ...


class _Result(Protocol):
    @property
    def status(self) -> str: ...


Plan = TypeVar("Plan", bound=_Plan)
Result = TypeVar("Result", bound=_Result)


def done_alone(name: str, load: Callable[[], Plan], do: Callable[[Plan], Result]) -> Result:
    """Load an experiment's plan, do its work while nobody else does, and give the result; both are logged and counted.

    Parameters
    ----------
    name
        The experiment's.
    load
        Gives the plan.
    do
        Does the work of a plan.
    """
    with observed(name) as ended:
        plan = load()
        with alone(plan.cache_folder, name, plan.fingerprint):
            result = do(plan)
        ended(result.status)
    return result


@contextmanager
def alone(cache_folder: Path, name: str, fingerprint: str) -> Iterator[None]:
    """Wait until no other process of this machine runs the very same experiment, and keep others waiting meanwhile.

    Parameters
    ----------
    cache_folder
        foldcam's own store.
    name
        The experiment's.
    fingerprint
        Of everything that decides its result.
    """
    key = experiment_key(tracking_uri(), name)

    def runs_already(holder: str) -> None:
        publish(StepEvent(f"this experiment runs already ({holder}): waiting for its end"))

    def is_cleaned(holder: str) -> None:
        publish(StepEvent(f"old runs are being removed ({holder}): waiting for the end of that"))

    with (
        claimed(cache_folder, *key, alone=False, waits=is_cleaned),
        claimed(cache_folder, *key, fingerprint, waits=runs_already),
    ):
        yield

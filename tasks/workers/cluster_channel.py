"""Word from the nodes of a cluster to the screen, through the cluster itself; where it gets lost, nothing else does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

from tasks.workers.events import Event, FoldEvent, PlanEvent, StepEvent, publish, subscribe
from tasks.workers.plan import Cell
from tasks.workers.progress import FINAL

NAMESPACE = "foldcam"
"""Ray's namespace of the actors that pass word on."""

_log = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], None]


@contextmanager
def telling(channel: str, cell: Cell) -> Iterator[None]:
    """Send what is published about a fold run, or about a backbone's preparation, for as long as the block lasts.

    Parameters
    ----------
    channel : str
        `ray:NAME` of an actor, `dask:TOPIC`, or empty: nobody listens.
    cell : (backbone, fold)
        What is told of; other work of this process is left out.
    """
    send = _sender(channel)

    def forward(event: Event) -> None:
        if isinstance(event, PlanEvent) or (isinstance(event, FoldEvent) and (event.backbone, event.fold) != cell):
            return
        send({"about": "fold" if isinstance(event, FoldEvent) else "step", **asdict(event)})

    with subscribe(forward):
        yield


def receive(word: dict[str, Any]) -> None:
    """Publish here what was sent from a node; how a fold run ends is known here only with its result."""
    kind: type[FoldEvent | StepEvent] = FoldEvent if word["about"] == "fold" else StepEvent
    event = kind(**{field.name: word[field.name] for field in fields(kind) if field.name in word})
    if isinstance(event, StepEvent) or event.state not in FINAL:
        publish(event)


def _sender(channel: str) -> Send:
    kind, _, name = channel.partition(":")
    if not name:
        return lambda _: None
    try:
        return {"ray": _to_ray, "dask": _to_dask}[kind](name)
    except Exception:  # each engine has exceptions of its own, and no word is worth a fold run
        _log.warning("Word of the fold run's progress cannot be sent.", exc_info=True)
        return lambda _: None


def _to_ray(name: str) -> Send:
    import ray

    actor = ray.get_actor(name, namespace=NAMESPACE)
    return lambda word: actor.put_nowait.remote(word)


def _to_dask(topic: str) -> Send:
    from distributed import get_worker

    worker = get_worker()
    return lambda word: worker.log_event(topic, word)

"""How flow runs end on Prefect's pages, so that people and automations can tell partial, refused and failed apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect import tags
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TagsContext
from prefect.events import emit_event
from prefect.states import Cancelled, Completed, Failed

from tasks.dataset.wording import counted

if TYPE_CHECKING:
    from tasks.comparison.champion.crowned import Crowned
    from tasks.comparison.photographs import PhotographsResult
    from tasks.comparison.results import ExperimentResult

TAG = "foldcam"
"""Marks the flow runs that notices are about: those that no other flow run stands above."""

PROMOTED = "foldcam.champion.promoted"
"""The event of a model that has become the champion."""


@contextmanager
def told_by_notices() -> Iterator[None]:
    """Mark a flow run that is started in the block, but not where one stands above it: that one tells of both."""
    if FlowRunContext.get() is None:
        with tags(TAG):
            yield
        return
    with TagsContext(current_tags=TagsContext.get().current_tags - {TAG}):
        yield


@contextmanager
def untagged_tasks() -> Iterator[None]:
    """Keep a flow run's tags from its tasks: for each tag, a task would ask the server for leave before it begins.

    Tasks without tags run on while Prefect's server is gone.
    """
    with TagsContext(current_tags=set()):
        yield


def partial(message: str) -> State[Any]:
    """Give the state of a flow run some of whose work failed; Prefect's event of it is `prefect.flow-run.Partial`."""
    return Failed(name="Partial", message=message)


def refused(reason: str) -> State[Any]:
    """Give the state of a flow run that did not begin since its input cannot be used."""
    return Failed(name="Refused", message=reason)


def nothing_new(message: str) -> State[Any]:
    """Give the state of a flow run that had nothing to do."""
    return Completed(name="NothingNew", message=message)


def left_out(message: str) -> State[Any]:
    """Give the state of a flow run that did not begin since its time is over."""
    return Cancelled(name="LeftOut", message=message)


def state_of(result: ExperimentResult | PhotographsResult) -> State[Any]:
    """Give the state of a flow run that ran an experiment."""
    from tasks.comparison.results import ExperimentResult
    from tasks.comparison.standings.recorded import verdict_of

    if isinstance(result, ExperimentResult):
        failed = [f"{fold.backbone}/{fold.fold}" for fold in result.failures]
        best = (
            f"{result.experiment}: best is {result.ranking[0]}." if result.ranking else f"{result.experiment} is done."
        )
        good = " ".join([best, *verdict_of(result.comparison)])
    else:
        failed = [own.name for own in result.failures]
        good = f"{result.experiment}: explained by {', '.join(result.backbones)}."
    if result.status == "completed":
        return Completed(message=good)
    message = f"{result.experiment} is {result.status}: {counted(len(failed), 'fold run')} failed: {', '.join(failed)}"
    return partial(message) if result.status == "partial" else Failed(message=message)


def tell_of_champion(crowned: Crowned | None, experiment: str) -> None:
    """Emit Prefect's event of a new champion, if there is one."""
    if crowned is None or not crowned.is_champion or crowned.previous == crowned.version:
        return
    announce(
        str(crowned.model),
        {
            "experiment": experiment,
            "version": crowned.version,
            "previous": crowned.previous,
            "made_of": crowned.title,
            "told": crowned.told,
            "difference": crowned.promotion.difference,
        },
    )


def announce(model: str, payload: Mapping[str, Any]) -> None:
    """Emit Prefect's event of a new champion; `told` in the payload says it in a sentence."""
    resource = {"prefect.resource.id": f"foldcam.model.{model}", "prefect.resource.name": model}
    emit_event(PROMOTED, resource=resource, payload=dict(payload))

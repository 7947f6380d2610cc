"""Serves a flow on a schedule, one run at a time, for as long as a command runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.runtime import flow_run
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import Field

from flows.outcomes import TAG
from flows.runners import free_port, local_server
from flows.stopping import ended_in_order
from flows.timing import Timing

COLLISIONS = {"skip": ConcurrencyLimitStrategy.CANCEL_NEW, "queue": ConcurrencyLimitStrategy.ENQUEUE}

Within = Annotated[
    float | None,
    Field(gt=0, description="Leave out a run that starts so many minutes after its time or later; empty: never."),
]
"""How late a run may start; a field of the form that Prefect's pages show."""


def too_late(start_within_minutes: float | None) -> str:
    """Tell of the flow run that works here that its time is over; an empty text where it is not."""
    due: datetime = flow_run.scheduled_start_time
    late = datetime.now(UTC) - due
    if start_within_minutes is None or late <= timedelta(minutes=start_within_minutes):
        return ""
    return (
        f"It was due at {due:%Y-%m-%d %H:%M} UTC and could only start {late.total_seconds() / 60:,.0f} minutes later, "
        f"which is over the limit of {start_within_minutes:g}: left out."
    )


def serve_on(own: Any, name: str, timing: Timing, parameters: dict[str, Any], say: Callable[[str], None]) -> None:
    """Serve a flow on a schedule until interrupted, one run at a time.

    Without a Prefect server of the team's (PREFECT_API_URL), a local one runs as long as this does.

    Parameters
    ----------
    own : Flow
        The flow; it takes `start_within_minutes`.
    name : str
        Of its deployment; signs that Prefect does not take become dashes.
    timing : Timing
        When it runs, and what becomes of runs that cannot start then.
    parameters : dict
        The flow's.
    say : callable
        Is called with each line for people.

    Raises
    ------
    InputError
        The server did not come up.
    """
    if PREFECT_API_URL.value():
        _serve(own, name, timing, parameters, say)
        return
    with local_server(free_port(), pages=True) as url, temporary_settings({PREFECT_API_URL: url}):
        os.environ["PREFECT_API_URL"] = url
        say(f"Prefect: {url.removesuffix('/api')}")
        _serve(own, name, timing, parameters, say)


def _serve(own: Any, name: str, timing: Timing, parameters: dict[str, Any], say: Callable[[str], None]) -> None:
    told = {"skip": "is left out", "queue": "waits its turn"}[timing.overlap]
    say(f"Serving {name!r} on {timing.told}; Ctrl-C ends it.")
    say(f"Next: {', '.join(f'{moment:%a %Y-%m-%d %H:%M}' for moment in timing.next_dates())}.")
    say(f"A run that falls due while the last one works {told}.")
    within = timing.start_within
    with ended_in_order():
        own.serve(
            name=re.sub(r"[/%&<>]", "-", name),
            schedule=Schedule(**timing.fields()),
            # The server keeps one run at a time; where runs queue the runner waits itself, else it asks at once.
            global_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=COLLISIONS[timing.overlap]),
            limit=1 if timing.overlap == "queue" else None,
            parameters=parameters | {"start_within_minutes": None if within is None else within.total_seconds() / 60},
            tags=[TAG],
            print_starting_message=False,
        )

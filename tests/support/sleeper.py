"""A small flow on a schedule that never falls due, served until it is interrupted: `sleeper.py NAME OVERLAP`."""

import sys
import time
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.interrupting import stop_in_order
from flows.outcomes import left_out
from flows.serving import serve_on, too_late
from flows.timing import read_timing


@flow(persist_result=False)
def sleeper(seconds: float = 3.0, start_within_minutes: float | None = None) -> State[Any]:
    """Sleep, unless its time is over."""
    late = too_late(start_within_minutes)
    if late:
        return left_out(late)
    time.sleep(seconds)
    return Completed(message="slept")


if __name__ == "__main__":
    name, overlap = sys.argv[1:]
    stop_in_order()
    timing = read_timing(rrule="FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", overlap=overlap, start_within="30m")
    serve_on(sleeper, name, timing, {}, lambda line: print(line, flush=True))  # noqa: T201

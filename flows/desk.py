"""What a flow run leaves for its caller, beside the state that Prefect keeps of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from httpx import HTTPError

from flows.outcomes import told_by_notices
from flows.runners import fault_of, settled

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Desk(Generic[Result]):
    """Where a flow run puts what it came to.

    Attributes
    ----------
    result : object or None
        What it found; None while it has not.
    fault : BaseException or None
        What it failed of, as far as it says so.
    """

    result: Result | None = None
    fault: BaseException | None = None


def result_on(desk: Desk[Result], flow: Any, *arguments: Any) -> Result:
    """Run a flow that puts its result on a desk, and give that, also where Prefect's server went away meanwhile.

    Raises
    ------
    Exception
        What the flow failed of.
    HTTPError
        Prefect's server has gone before the flow had a result.
    """
    try:
        with told_by_notices():
            state = settled(flow, *arguments)
    except HTTPError as fault:
        if desk.result is None:
            raise desk.fault or fault from None
        _log.warning("Prefect's server is gone, and has no record of this run's end: %s", fault)
        return desk.result
    if desk.result is None:
        raise fault_of(state)
    return desk.result

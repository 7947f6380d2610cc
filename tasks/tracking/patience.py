"""How a call to the tracking server is tried again, for how long, and what is said when that was in vain."""

from __future__ import annotations

import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from mlflow.utils import request_utils
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from tasks.config import InputError
from tasks.settings.base import Unfinished
from tasks.tracking.passing import is_passing, reason_of
from tasks.tracking.refusals import without_password_of, without_sign_in

Answer = TypeVar("Answer")

VARIABLE = "FOLDCAM_MLFLOW_WAIT_SECONDS"
"""The environment's variable that says for how long a call is tried again."""
WAIT_SECONDS = 180.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds; each pause is twice as long as the one before, shortened at random by up to a half."""

_limit: ContextVar[float | None] = ContextVar("limit", default=None)


class Unreachable(Unfinished):
    """The tracking server could not be reached for as long as it was tried; its one argument says why."""

    @property
    def reason(self) -> str:
        """Which server, and why."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.reason} What is finished is kept: the same command goes on from there when the server is back."


class _Heard(threading.local):
    """Whether this thread is in a call of ours, and for how long the server asked to be left alone."""

    active: bool = False
    retry_after: float | None = None


_heard = _Heard()


class _Telling(Retry):
    """What MLflow tries again by: in calls of ours, not at all, so that one place decides; else as it always did.

    What it tries again blindly would make a second run where the answer to the first call was lost.
    """

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        *rest: Any,
        **named: Any,
    ) -> _Telling:
        if _heard.active:
            _heard.retry_after = None if response is None else self.get_retry_after(response)
            return Retry.increment(self.new(total=0), method, url, response, *rest, **named)
        return super().increment(method, url, response, *rest, **named)


request_utils.Retry = _Telling
request_utils._cached_get_request_session.cache_clear()  # what was opened before tries again in MLflow's way


def wait_seconds() -> float:
    """Give for how long a call is tried again.

    Raises
    ------
    InputError
        The variable is no number of seconds.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else WAIT_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InputError(f"{VARIABLE} must be a number of seconds, 0 or more, such as 180; it is {text!r}.")
    return seconds


@contextmanager
def for_at_most(seconds: float) -> Iterator[None]:
    """Try calls in this thread again for a shorter time while the block lasts; 0: not at all."""
    above = _limit.get()
    token = _limit.set(seconds if above is None else min(seconds, above))
    try:
        yield
    finally:
        _limit.reset(token)


class Patience:
    """Tries calls to one tracking server again while what went wrong may pass: with back-off and jitter.

    Once it was in vain, calls are tried just once each, until one succeeds: an experiment does not wait anew for every
    fold run of a server that is gone.

    Parameters
    ----------
    address : str
        The server's, for messages.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._given_up = threading.Event()
        self.away = False

    def begin(self) -> None:
        """Forget what was before: a new experiment begins."""
        self._given_up.clear()
        self.away = False

    def give_up(self) -> None:
        """End all waiting at once, in every thread: what waits for an answer is told that there is none."""
        self._given_up.set()

    def __call__(self, call: Callable[[], Answer], again: Callable[[], Answer] | None = None) -> Answer:
        """Give what a call gives.

        Parameters
        ----------
        call : callable
            Is called first.
        again : callable, optional
            Is called instead when `call` has been tried once: it must find what `call` may have done.

        Raises
        ------
        Unreachable
            It failed until the time was over.
        """
        if _heard.active:
            return call()
        until = time.monotonic() + self._seconds()
        pause = FIRST_PAUSE
        while True:
            try:
                answer = _once(call)
            except Exception as fault:
                if not is_passing(fault):
                    raise
                wait = max(pause * random.uniform(0.5, 1.0), _heard.retry_after or 0.0)
                if time.monotonic() + wait > until or self._given_up.wait(wait):
                    self.away = True
                    raise self._in_vain(fault) from fault
            else:
                self.away = False
                return answer
            call = again or call
            pause = min(2 * pause, LONGEST_PAUSE)

    def _seconds(self) -> float:
        own = _limit.get()
        return 0.0 if self.away else wait_seconds() if own is None else own

    def _in_vain(self, fault: Exception) -> Unreachable:
        said = without_password_of(self._address, reason_of(fault))
        return Unreachable(f"MLflow's store at {without_sign_in(self._address)} could not be reached: {said}")


def _once(call: Callable[[], Answer]) -> Answer:
    _heard.active, _heard.retry_after = True, None
    try:
        return call()
    finally:
        _heard.active = False


@functools.lru_cache(maxsize=16)
def patience_with(address: str) -> Patience:
    """Give this process's one patience with a tracking server."""
    return Patience(address)

"""Ctrl-C and SIGTERM: the first stops the command, which then ends what is open; only the third cuts that short."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

SECOND = "Being stopped: what is open is ended first. Once more ends the command at once.\n"


def stop_in_order() -> None:
    """Answer signals from now on; a Ctrl-C that is ignored, as behind `nohup`, stays so."""
    signal.signal(signal.SIGTERM, _first)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _first)


def _first(number: int, frame: FrameType | None) -> NoReturn:
    _answer_by(_second)
    signal.default_int_handler(number, frame)


def _second(_number: int, _frame: FrameType | None) -> None:
    _answer_by(signal.default_int_handler)
    sys.stderr.write(SECOND)


def _answer_by(handler: signal._HANDLER) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)

"""The command `foldcam` inside this process: quicker than a process of its own."""

from __future__ import annotations

import contextlib
import io
import signal
from dataclasses import dataclass
from unittest import mock

from flows import cli


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def refused(self) -> str:
        """Give the message of a command that must have ended with 2: one paragraph on standard error, no traceback."""
        assert self.code == 2, self
        assert "Traceback" not in self.err
        assert self.err.endswith("\n")
        message = self.err.splitlines()[-1]
        assert message
        return message


def foldcam(*arguments: str) -> Answer:
    """Run the command in this process and give its answer."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    code: object = 0
    with (
        mock.patch("sys.argv", ["foldcam", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return Answer(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

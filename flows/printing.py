"""How commands print: JSON and lines on standard output, tables on a console."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: Any) -> None:
    """Print one JSON value on standard output.

    Raises
    ------
    ValueError
        It holds a number that JSON cannot write, such as NaN.
    """
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def say(line: str) -> None:
    """Print a line on standard output at once, for readers behind a pipe too."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """Give a console on standard output, or on standard error where JSON has the other."""
    from rich.console import Console

    return Console(stderr=stderr)

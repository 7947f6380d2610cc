"""What people see of a command that goes through images: one line in place on a terminal, else one for each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

Watch = Callable[[str, int, int], None]
"""Is called with what is being done, how much of it is done, and how much there is."""


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""


@contextmanager
def watching(console: Console, first: str) -> Iterator[Watch]:
    """Give what shows how far the work is, while the block lasts.

    Parameters
    ----------
    console : Console
        Where it is shown: in place on a terminal, else a line when a step is done.
    first : str
        What a terminal shows before anything is reported.
    """
    if not console.is_terminal:
        yield lambda step, done, total: _when_done(console, step, done, total)
        return
    with console.status(escape(first)) as status:
        yield lambda step, done, total: status.update(escape(f"{step}: {done} of {total}"))


def _when_done(console: Console, step: str, done: int, total: int) -> None:
    if done == total:
        console.print(f"{step}: {total} of {total}", markup=False, highlight=False)

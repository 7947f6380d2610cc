"""What watches an experiment from outside: its name on every log line, and its figures where they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.workers.log_context import told
from tasks.workers.log_lines import set_up_logs, tell_prefect

METRICS = ("FOLDCAM_METRICS_PORT", "FOLDCAM_METRICS_FILE")
"""Variables that ask for figures; without them nothing is counted."""


def tell_libraries() -> None:
    """Let the loggers of the libraries that are loaded by now write as foldcam's do, and Prefect's name the fold."""
    set_up_logs()
    tell_prefect()


@contextmanager
def observed(experiment: str) -> Iterator[Callable[[str], None]]:
    """Log under an experiment's name while the block lasts; gives what is to be called with the status it ends as.

    Raises
    ------
    InputError
        A variable that says where logs or figures go cannot be used.
    """
    tell_libraries()
    with told(experiment=experiment):
        if not any(os.environ.get(name) for name in METRICS):
            yield lambda _: None
            return
        from tasks.workers.figures import kept

        with kept(experiment) as figures:
            status = ["failed"]
            try:
                yield lambda said: status.__setitem__(0, said)
            finally:
                figures.end(status[0])

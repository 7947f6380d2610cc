"""Sends a fit's figures while it goes on: training never waits for the tracking server."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tasks.tracking.moments import moments
from tasks.tracking.records import Metrics
from tasks.tracking.writer import Writer

FLUSH_SECONDS = 5.0
_OWN_NAMES = {"learning_rate": "train/learning_rate", "seconds": "train/seconds"}


class EpochLog:
    """Sends the rows of a history from a thread of its own, in their order, several in a call where epochs are short.

    Parameters
    ----------
    writer : Writer
        Writes to the fold run; nothing else writes by it before `flush` has come back.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pending: list[Metrics] = []
        self._changed = threading.Condition()
        self._ending = False
        self._fault: BaseException | None = None
        self._sender: threading.Thread | None = None

    def add(self, epoch: int, row: Mapping[str, float]) -> None:
        """Take an epoch's row of the history.

        Raises
        ------
        ValueError
            An earlier row held what is not a finite number; whatever else sending it came to is raised too.
        """
        values = {_OWN_NAMES.get(name, name): value for name, value in row.items() if name != "epoch"}
        with self._changed:
            self._raise_fault()
            self._pending.append(Metrics(values, epoch, moments.now()))
            if self._sender is None:
                self._sender = threading.Thread(target=self._send_all, name="epoch-log", daemon=True)
                self._sender.start()

    def flush(self) -> None:
        """Come back when all is sent, or waits on disk.

        Raises
        ------
        ValueError
            A row held what is not a finite number; whatever else sending came to is raised too.
        """
        with self._changed:
            self._ending = True
            self._changed.notify()
            sender, self._sender = self._sender, None
        if sender is not None:
            sender.join()
        self._ending = False
        self._raise_fault()

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending, timeout=FLUSH_SECONDS)
                rows, self._pending, ending = self._pending, [], self._ending
            if rows and self._fault is None:
                try:
                    self._writer.write(rows)
                except BaseException as fault:
                    self._fault = fault
            if ending:
                return

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

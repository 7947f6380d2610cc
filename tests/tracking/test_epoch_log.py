from __future__ import annotations

import threading

import pytest

from tasks.tracking import epoch_log
from tasks.tracking.epoch_log import EpochLog

ROW = {"train/loss": 1.0, "val/loss": 0.5, "learning_rate": 0.1, "seconds": 2.0}


class Notes:
    """Stands where a writer does and keeps what it is given."""

    def __init__(self):
        self.calls, self.called = [], threading.Event()

    def write(self, records):
        self.calls.append(list(records))
        self.called.set()

    def steps(self):
        return [[record.step for record in call] for call in self.calls]


def test_epochs_are_sent_together_in_their_order_and_nothing_twice(monkeypatch):
    monkeypatch.setattr(epoch_log, "FLUSH_SECONDS", 0.3)
    notes = Notes()
    log = EpochLog(notes)
    for epoch in range(3):
        log.add(epoch, {"epoch": epoch} | ROW)
    assert notes.called.wait(60)
    log.add(3, ROW)
    log.flush()
    assert notes.steps() == [[0, 1, 2], [3]]
    own = {"train/loss": 1.0, "val/loss": 0.5, "train/learning_rate": 0.1, "train/seconds": 2.0}
    assert notes.calls[0][0].values == own
    times = [record.timestamp for call in notes.calls for record in call]
    assert times == sorted(set(times))


def test_a_log_that_was_flushed_takes_more_and_one_without_rows_sends_nothing():
    notes = Notes()
    log = EpochLog(notes)
    log.flush()
    assert notes.calls == []
    for epoch in range(2):
        log.add(epoch, ROW)
        log.flush()
    assert notes.steps() == [[0], [1]]


def test_what_sending_came_to_is_raised_once_by_whoever_comes_next():
    class Refusing:
        def write(self, _):
            raise RuntimeError("no such run")

    log = EpochLog(Refusing())
    log.add(0, ROW)
    with pytest.raises(RuntimeError, match="no such run"):
        log.flush()
    log.flush()

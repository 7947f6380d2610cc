from __future__ import annotations

import sys

import numpy as np
import pytest

from tasks.workers import memory
from tasks.workers.memory import PeakMemory

MB = 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a stretch of work")
def test_the_peak_is_of_the_stretch_and_not_of_what_was_before():
    before = np.ones(300 * MB, np.uint8)
    with_it = PeakMemory().megabytes()
    del before
    peak = PeakMemory()
    without = peak.megabytes()
    assert with_it - without == pytest.approx(300, abs=60)
    again = np.ones(200 * MB, np.uint8)
    del again
    assert peak.megabytes() - without == pytest.approx(200, abs=60)


def test_where_the_system_does_not_tell_there_is_no_figure(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "nothing")
    assert PeakMemory().megabytes() is None

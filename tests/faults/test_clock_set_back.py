from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.disturbed import assert_as_undisturbed, disturb, finish, long, random_moment, rounds

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def with_clock(studio, file):
    """Give the studio with a clock of its own, which `file` sets against the true one."""
    file.write_text("+0")
    own = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return replace(studio, variables=studio.variables | own)


@long
@pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime (Debian's package of that name)")
@pytest.mark.parametrize("change", ["-2h", "-400d", "+30d"])
@pytest.mark.parametrize("seed", rounds())
def test_a_clock_that_is_set_during_the_run_changes_nothing(own_studio, undisturbed_run, tmp_path, change, seed):
    clock = tmp_path / "clock"
    studio = with_clock(own_studio, clock)
    file = studio.write(undisturbed_run.settings)
    ended = disturb(studio, file, random_moment(seed, undisturbed_run), lambda _: clock.write_text(change))
    assert ended.code == 0, ended.err
    finish(studio, file)
    assert_as_undisturbed(studio, undisturbed_run)
    for run in studio.runs():
        assert run.info.end_time >= run.info.start_time
        assert all(value >= 0 for name, value in run.data.metrics.items() if "seconds" in name)

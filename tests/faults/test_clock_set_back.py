from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.disturbed import assert_as_undisturbed, disturb, finish, long, random_moment, rounds
from tests.support.set_clock import COMPILER, set_clock

HOUR = 3600
DAY = 24 * HOUR

pytestmark = pytest.mark.skipif(not COMPILER, reason="needs a C compiler")


def test_the_clock_of_these_tests_sets_the_time_of_day_alone(tmp_path):
    clock = set_clock(tmp_path)
    program = (
        "import datetime, time; before, ticks = time.time(), time.monotonic(); print(flush=True); input();"
        "time.sleep(0.1); print(datetime.datetime.now().timestamp() - before, time.monotonic() - ticks)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=-1, stdout=-1, text=True, env=clock.variables
    ) as process:
        process.stdout.readline()
        clock.set(-2 * HOUR)
        passed, ticks = map(float, process.communicate("\n", timeout=60)[0].split())
    assert passed == pytest.approx(ticks - 2 * HOUR, abs=0.05)


@long
@pytest.mark.parametrize("change", [-2 * HOUR, -400 * DAY, 30 * DAY])
@pytest.mark.parametrize("seed", rounds())
def test_a_clock_that_is_set_during_the_run_changes_nothing(own_studio, undisturbed_run, tmp_path, change, seed):
    clock = set_clock(tmp_path)
    studio = replace(own_studio, variables=own_studio.variables | clock.variables)
    file = studio.write(undisturbed_run.settings)
    ended = disturb(studio, file, random_moment(seed, undisturbed_run), lambda _: clock.set(change))
    assert ended.code == 0, ended.err
    finish(studio, file)
    assert_as_undisturbed(studio, undisturbed_run)
    for run in studio.runs():
        assert run.info.end_time >= run.info.start_time
        assert all(value >= 0 for name, value in run.data.metrics.items() if "seconds" in name)

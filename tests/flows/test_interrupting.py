from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys, time
from flows.interrupting import stop_in_order
stop_in_order()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("ending", flush=True)
    time.sleep(float(sys.argv[1]))
    print("ended", flush=True)
"""


def interrupted(times, cleaning, number=signal.SIGINT):
    """Start a program that takes so many seconds to end what is open, and interrupt it so often."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(cleaning)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == "ending\n"
    for _ in range(times - 1):
        process.send_signal(number)
        time.sleep(0.3)
    return *process.communicate(timeout=120), process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_what_is_open_is_ended_also_after_a_second_signal(times, number):
    out, err, code = interrupted(times, 1.0, number)
    assert (out, code) == ("ended\n", 0)
    assert ("Once more" in err) is (times == 2)


def test_a_third_one_ends_the_command_at_once():
    out, _, code = interrupted(3, 60)
    assert out == ""
    assert code != 0

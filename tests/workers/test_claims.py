from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tasks.workers.claims import claimed

HOLD = """
import sys, time
from pathlib import Path
from tasks.workers.claims import claimed
with claimed(Path(sys.argv[1]), "a", "b") as held:
    print(held, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the claim on `a`, `b`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()


def test_a_held_claim_is_waited_for_and_a_killed_holders_is_free(tmp_path, holder):
    told, entered = [], threading.Event()

    def wait():
        with claimed(tmp_path, "a", "b", waits=told.append) as held:
            assert held
            entered.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not entered.wait(1)
    assert [words.split(",")[0] for words in told] == [f"process {holder.pid}"]
    os.kill(holder.pid, signal.SIGKILL)
    assert entered.wait(10)
    thread.join()


def test_other_claims_are_free(tmp_path, holder):
    with claimed(tmp_path, "a", "c", waits=pytest.fail) as held:
        assert held


def test_waiting_can_be_ended(tmp_path, holder):
    began = time.monotonic()
    with claimed(tmp_path, "a", "b", stopped=lambda: time.monotonic() - began > 0.5) as held:
        assert not held


def test_those_who_share_do_not_wait_for_each_other_but_for_who_wants_it_alone(tmp_path):
    with (
        claimed(tmp_path, "x", alone=False, waits=pytest.fail),
        claimed(tmp_path, "x", alone=False, waits=pytest.fail),
        claimed(tmp_path, "x", stopped=lambda: True) as alone,
    ):
        assert not alone
    with claimed(tmp_path, "x", waits=pytest.fail) as alone:
        assert alone
        with claimed(tmp_path, "x", alone=False, stopped=lambda: True) as shared:
            assert not shared


def test_where_claims_cannot_be_written_nobody_waits(tmp_path):
    (tmp_path / "claims").write_text("no folder")
    with claimed(tmp_path, "x") as held:
        assert not held


def test_many_threads_take_turns(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(3):
            with claimed(tmp_path, "x"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.01)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 12

from __future__ import annotations

import os
import subprocess
import sys
import threading

import mlflow.utils.time
import pytest

from tasks.tracking import moments as module
from tasks.tracking.moments import Moments
from tasks.tracking.owners import is_orphan, this_process
from tasks.tracking.records import Metrics
from tasks.tracking.runs import Runs
from tasks.tracking.writer import Writer

HOUR = 3_600_000


@pytest.fixture
def clock(monkeypatch):
    """The machine's clock, to be set: `clock.back` milliseconds behind the true one."""

    class Clock:
        back = 0

    true = mlflow.utils.time.get_current_time_millis
    monkeypatch.setattr(module, "get_current_time_millis", lambda: true() - Clock.back)
    monkeypatch.setattr(module.moments, "_last", 0)
    return Clock


def test_moments_never_go_back_and_are_never_the_same(clock):
    own = Moments()
    before = own.now()
    clock.back = HOUR
    found = [own.now() for _ in range(50)]
    assert [before, *found] == sorted({before, *found})


def test_threads_get_moments_of_their_own():
    own, found = Moments(), []
    threads = [threading.Thread(target=lambda: found.extend(own.now() for _ in range(200))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 1600


def test_the_run_that_was_made_last_is_the_newest_after_the_clock_was_set_back(client, uri, clock, monkeypatch):
    experiment = client.create_experiment("clocks")
    runs = Runs(client, experiment)
    first = runs.start("fold", "a", parent=None, tags={"foldcam.fingerprint": "f"})
    runs.end(first, "completed")
    clock.back = HOUR
    monkeypatch.setattr(module.moments, "_last", 0)  # another process
    runs.begin_after_all()
    second = runs.start("fold", "a", parent=None, tags={"foldcam.fingerprint": "f"})
    runs.end(second, "completed")
    assert runs.completed_folds(["f"])["f"].run_id == second
    assert runs.completed_fold("f").run_id == second
    assert runs.find("fold", "f") == second
    ended = client.get_run(second).info
    assert ended.end_time >= ended.start_time


def test_the_value_that_was_logged_last_is_the_newest_after_the_clock_was_set_back(client, uri, clock, monkeypatch):
    runs = Runs(client, client.create_experiment("values"))
    run_id = runs.start("backbone", "a", parent=None, tags={})
    Writer(uri, run_id).write([Metrics({"cv/accuracy_mean": 0.9})])
    runs.end(run_id, "partial")
    clock.back = HOUR
    monkeypatch.setattr(module.moments, "_last", 0)  # another process
    runs.resume(run_id)
    Writer(uri, run_id).write([Metrics({"cv/accuracy_mean": 0.5})])
    assert client.get_run(run_id).data.metrics["cv/accuracy_mean"] == 0.5


def test_a_living_process_is_no_orphan_and_a_dead_one_is():
    owner = this_process()
    assert not is_orphan(owner)
    say = "from tasks.tracking.owners import this_process; print(this_process())"
    other = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True).stdout.strip()
    assert other != owner
    assert is_orphan(other)
    number = other.split(":")[-2]
    assert is_orphan(owner.replace(f":{os.getpid()}:", f":{number}:"))


def test_an_owner_as_older_versions_wrote_it_is_understood():
    import psutil

    host, pid, _ = this_process().rsplit(":", 2)
    started = psutil.Process().create_time()
    assert not is_orphan(f"{host}:{pid}:{started:.2f}")
    assert is_orphan(f"{host}:{pid}:{started - 60:.2f}")

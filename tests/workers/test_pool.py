from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import psutil
import pytest

from tasks.config import merged
from tasks.workers.order import Order
from tasks.workers.pool import JobFailed, PoolClosed, Worker, WorkerPool
from tests.support.light_worker import ENDLESS, QUICK
from tests.support.processes import alive, until

DONE = {"images": 16, "trains_from": "frozen features at head_flatten", "features_error": ANY}


@pytest.fixture(scope="module")
def plan(planned, images, tmp_path_factory):
    """A plan whose feature job is quick and takes as long as it does on 16 images."""
    plan = planned(images, tmp_path_factory.mktemp("cache"), backbones={"ncnn": {"freeze": "base"}})
    plan.write()
    return plan


@pytest.fixture(scope="module")
def features(plan):
    return plan.order("features", ("ncnn", -1))


@pytest.fixture(scope="module")
def endless(planned, images, tmp_path_factory, store, new_run):
    """An order for a fold run that never ends by itself, and leaves no state for the next one."""
    training = {"epochs": 1_000_000, "early_stopping_patience": None}
    plan = planned(images, tmp_path_factory.mktemp("endless"), training=training)
    plan.write()
    return replace(plan.order("fold", ("ncnn", 0), store, new_run()), state_file="")


@pytest.fixture
def simple_pool(light_worker):
    """Two worker processes that load nothing."""
    with WorkerPool([{}, {}], threads=1, deterministic=True) as workers:
        yield workers


def ignore(event):
    pass


class Background:
    """Calls something in a thread and keeps what came of it."""

    def __init__(self, call, *arguments, **named):
        self.result = self.fault = None
        self.thread = threading.Thread(target=self._run, args=(call, arguments, named), daemon=True)
        self.thread.start()

    def _run(self, call, arguments, named):
        try:
            self.result = call(*arguments, **named)
        except BaseException as fault:
            self.fault = fault
        self.ended = time.monotonic()

    def outcome(self, seconds=60):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "still running"
        return self.fault if self.fault is not None else self.result


def until_training(pool, order, **named):
    """Start an order on the pool and wait until it has come to training."""
    started = threading.Event()
    job = Background(pool.do, order, lambda e: started.set() if e["state"] == "training" else None, **named)
    assert started.wait(60), job.fault
    return job


def test_a_job_gives_its_result_and_tells_what_happens_meanwhile(pool, features):
    events = []
    found = pool.do(features, events.append)
    assert found == DONE
    assert events == [] or events[-1] == {"state": "starting", "done": 16, "total": 16}
    assert pool.do(features, ignore) == DONE


def test_workers_are_kept_from_job_to_job_and_run_beside_each_other(pool, features):
    before = pool.process_ids()
    assert len(set(before)) == 2
    both = [Background(pool.do, features, ignore) for _ in range(6)]
    assert [job.outcome() for job in both] == [DONE] * 6
    assert pool.process_ids() == before


def test_a_slots_environment_reaches_its_worker_alone(pool):
    found = [psutil.Process(pid).environ() for pid in pool.process_ids()]
    assert [variables.get("FOLDCAM_TEST_SLOT") for variables in found] == [None, "1"]
    assert [variables["OMP_NUM_THREADS"] for variables in found] == ["1", "1"]


def changed(order, **fields):
    return Order(**merged(order.to_json(), fields))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experiment": {"backbones": {"ncnn": {"freeze": "bsae"}}}}, "nearest: base"),
        ({"experiment": {"model": {"weights": "/nowhere.h5"}}}, "/nowhere.h5"),
    ],
)
def test_bad_input_is_a_final_failure_that_names_it_and_leaves_the_worker_alive(pool, features, change, said):
    before = pool.process_ids()
    with pytest.raises(JobFailed, match=said) as caught:
        pool.do(changed(features, **change), ignore)
    assert caught.value.final
    assert not isinstance(caught.value, PoolClosed)
    assert pool.process_ids() == before
    assert pool.do(features, ignore) == DONE


def test_a_fault_of_another_kind_may_be_tried_again(pool, features):
    with pytest.raises(JobFailed, match="KeyError: 'no_such_net'") as caught:
        pool.do(changed(features, backbone="no_such_net"), ignore)
    assert not caught.value.final


def test_an_order_that_is_no_order_is_a_failure_and_not_the_workers_end(pool, features):
    before = pool.process_ids()

    class Strange:
        backbone = "ncnn"

        def to_json(self):
            return {"job": "features", "surprise": 1}

    with pytest.raises(JobFailed, match="surprise"):
        pool.do(Strange(), ignore)
    assert pool.process_ids() == before
    assert pool.do(features, ignore) == DONE


def test_a_job_beyond_its_time_is_ended_and_its_worker_replaced(simple_pool):
    before = set(simple_pool.process_ids())
    with pytest.raises(JobFailed) as caught:
        simple_pool.do(ENDLESS, ignore, timeout=0.5)
    assert str(caught.value) == "it took longer than the limit of 0.5 seconds"
    assert not caught.value.final
    [gone] = until(lambda: [pid for pid in before if not psutil.pid_exists(pid)], 5, "the worker's end")
    assert both_do(simple_pool)
    assert before - set(simple_pool.process_ids()) == {gone}


def test_a_time_limit_that_is_kept_disturbs_nothing(pool, features):
    before = pool.process_ids()
    assert pool.do(features, ignore, timeout=600) == DONE
    time.sleep(0.3)
    assert pool.process_ids() == before


def test_a_killed_workers_job_fails_with_the_signal_and_the_next_one_gets_a_new_worker(pool, endless, features):
    for _ in range(2):
        pool.do(features, ignore)
    before = set(pool.process_ids())
    job = until_training(pool, endless)
    # Which of the two has the job is not told: the one that computes.
    busy = max(before, key=lambda pid: psutil.Process(pid).cpu_percent(interval=0.5))
    os.kill(busy, signal.SIGKILL)
    fault = job.outcome(120)
    assert isinstance(fault, JobFailed)
    assert "killed by SIGKILL (often: out of memory)" in str(fault)
    assert not fault.final
    both = [Background(pool.do, features, ignore) for _ in range(4)]
    assert [job.outcome() for job in both] == [DONE] * 4
    assert busy not in pool.process_ids()
    assert len(before & set(pool.process_ids())) == 1


@pytest.mark.parametrize("first", ["", "exec 1>&-; sleep 0.3\n"], ids=["at once", "output closed before"])
def test_a_worker_whose_program_breaks_tells_its_last_words(tmp_path, monkeypatch, first):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{first}echo 'noise' >&2\necho 'ImportError: no such thing' >&2\nexit 7\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    worker = Worker(1, True, {})
    with pytest.raises(JobFailed, match="exit code 7; its last words: ImportError: no such thing") as caught:
        worker.do(Order("features", {}, "", "", "", "ncnn"), ignore, None)
    assert not caught.value.final


def both_do(workers):
    """Have each of two workers do a quick order; tell whether both have."""
    with workers._lease("quick") as one, workers._lease("quick") as other:
        done = [worker.do(QUICK, ignore, 60) for worker in (one, other)]
    return done == [{"done": True}] * 2


def test_what_a_listener_broke_off_does_not_answer_the_next_order(simple_pool):
    def stop(event):
        if event["state"] == "training":
            raise RuntimeError("the listener is broken")

    before = set(simple_pool.process_ids())
    with pytest.raises(RuntimeError, match="the listener is broken"):
        simple_pool.do(ENDLESS, stop)
    assert both_do(simple_pool)
    assert len(before - set(simple_pool.process_ids())) == 1


def test_closing_ends_jobs_that_run_or_wait_at_once_and_all_processes(simple_pool):
    processes = [psutil.Process(pid) for pid in simple_pool.process_ids()]
    jobs = [until_training(simple_pool, ENDLESS) for _ in processes]
    scratch = Path(processes[0].environ()["TMPDIR"])
    jobs.append(Background(simple_pool.do, QUICK, ignore))
    time.sleep(0.2)
    assert not simple_pool.closed
    started = time.monotonic()
    simple_pool.close()
    faults = [job.outcome(5) for job in jobs]
    assert max(job.ended for job in jobs) - started < 2
    assert all(isinstance(fault, PoolClosed) and fault.final for fault in faults)
    assert simple_pool.closed
    assert alive(processes) == []
    assert not scratch.exists()
    with pytest.raises(PoolClosed):
        simple_pool.do(QUICK, ignore)


PARENT = """
import sys, time
from tasks.workers.pool import WorkerPool
pool = WorkerPool([{}, {}], threads=1, deterministic=True)
print(*pool.process_ids(), flush=True)
time.sleep(120)
"""


def test_workers_end_by_themselves_when_their_parent_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    try:
        until(lambda: alive(children) == [], 15, "the workers' end")
    finally:
        for child in alive(children):
            child.kill()


def test_a_backbones_jobs_go_to_the_worker_that_knows_it(features):
    one, other = replace(features, backbone="ncnn"), replace(features, backbone="vgg16")
    with WorkerPool([{}, {}], threads=1, deterministic=True) as workers:
        slots = []
        for order in (one, other, one, other, other, one):
            with workers._lease(order.backbone) as worker:
                slots.append(worker.process.pid)
        assert len(set(slots)) == 2
        first, second = slots[:2]
        assert slots == [first, second, first, second, second, first]
        with workers._lease("ncnn"), workers._lease("ncnn") as busy:
            assert busy.process.pid == second

from __future__ import annotations

import psutil
import pytest

from tasks.workers.order import Order
from tasks.workers.pool import JobFailed, PoolClosed
from tasks.workers.warm import WarmWorkers
from tests.support.processes import until

NOWHERE = Order("fold", {}, "/nowhere", "/nowhere", "/nowhere", "ncnn", 0)
"""A job that fails at once, so that only the worker matters."""


def fail(workers):
    with pytest.raises(JobFailed, match="validation error"):
        workers.do(NOWHERE, lambda _: None)


def test_a_worker_is_started_when_needed_kept_warm_and_ended_when_nothing_comes():
    with WarmWorkers(threads=1, deterministic=True, idle_seconds=3.0) as workers:
        assert workers.process_ids() == []
        fail(workers)
        [first] = workers.process_ids()
        fail(workers)
        assert workers.process_ids() == [first]
        until(lambda: workers.process_ids() == [], 10, "the idle worker's end")
        until(lambda: not psutil.pid_exists(first), 5, "its process's end")
    with pytest.raises(PoolClosed):
        workers.do(NOWHERE, lambda _: None)


def test_a_job_with_another_gpu_set_aside_gets_another_worker():
    devices = iter([{"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}])
    with WarmWorkers(threads=1, deterministic=True, environment=lambda: next(devices)) as workers:
        fail(workers)
        [first] = workers.process_ids()
        fail(workers)
        assert len(workers.process_ids()) == 2
        assert first in workers.process_ids()
        processes = [psutil.Process(pid) for pid in workers.process_ids()]
        assert sorted(process.environ()["CUDA_VISIBLE_DEVICES"] for process in processes) == ["", "-1"]
    assert not any(process.is_running() for process in processes)

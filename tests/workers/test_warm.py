from __future__ import annotations

import psutil
import pytest

from tasks.workers.pool import PoolClosed
from tasks.workers.warm import WarmWorkers
from tests.support.light_worker import QUICK
from tests.support.processes import until

pytestmark = pytest.mark.usefixtures("light_worker")


def work(workers):
    assert workers.do(QUICK, lambda _: None) == {"done": True}


def test_a_worker_is_started_when_needed_kept_warm_and_ended_when_nothing_comes():
    with WarmWorkers(threads=1, deterministic=True, idle_seconds=1.0) as workers:
        assert workers.process_ids() == []
        work(workers)
        [first] = workers.process_ids()
        work(workers)
        assert workers.process_ids() == [first]
        until(lambda: workers.process_ids() == [], 10, "the idle worker's end")
        until(lambda: not psutil.pid_exists(first), 5, "its process's end")
    with pytest.raises(PoolClosed):
        work(workers)


def test_a_job_with_another_gpu_set_aside_gets_another_worker():
    devices = iter([{"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}])
    with WarmWorkers(threads=1, deterministic=True, environment=lambda: next(devices)) as workers:
        work(workers)
        [first] = workers.process_ids()
        work(workers)
        assert len(workers.process_ids()) == 2
        assert first in workers.process_ids()
        processes = [psutil.Process(pid) for pid in workers.process_ids()]
        assert sorted(process.environ()["CUDA_VISIBLE_DEVICES"] for process in processes) == ["", "-1"]
    assert not any(process.is_running() for process in processes)

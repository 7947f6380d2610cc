from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tasks.upkeep.leftovers import OF_WORKERS
from tasks.workers.order import Order
from tasks.workers.pool import JobFailed, OutOfMemory, Worker
from tasks.workers.scratch import Scratch
from tasks.workers.watch import Watch, cause_of_death, is_out_of_memory
from tests.support.processes import until

ORDER = Order("features", {}, "", "", "", "ncnn")
BEATING = """#!/bin/sh
read order
while :; do echo '{"alive": true}'; sleep 0.2; done
"""


def worker_that(tmp_path, monkeypatch, program, silence=300.0):
    fake = tmp_path / "python"
    fake.write_text(program)
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    return Worker(1, True, {}, silence)


def test_a_worker_that_is_stopped_is_noticed_and_ended(tmp_path, monkeypatch):
    worker = worker_that(tmp_path, monkeypatch, BEATING, silence=1.5)
    stop = threading.Timer(2.5, lambda: os.killpg(worker.process.pid, signal.SIGSTOP))
    stop.start()
    started = time.monotonic()
    with pytest.raises(JobFailed, match=r"no sign of life for 1\.5 seconds") as caught:
        worker.do(ORDER, lambda _: None, None)
    assert not caught.value.final
    assert time.monotonic() - started > 2.5, "as long as it beat, it was left alone"
    assert not psutil.pid_exists(worker.process.pid)


def test_a_time_in_which_this_process_is_stopped_is_not_the_workers_silence(monkeypatch):
    killed, now = [], [0.0]
    monkeypatch.setattr("tasks.workers.watch.time.monotonic", lambda: now[0])
    with Watch(lambda: killed.append(True), None, silence=0.8):
        now[0] += 1000.0
        time.sleep(0.5)
        assert killed == []


@pytest.mark.parametrize(
    ("code", "words", "kills", "said", "memory"),
    [
        (-9, [], 0, "killed by SIGKILL (often: out of memory)", False),
        (-9, [], 1, "killed by the kernel, which was out of memory", True),
        (-6, ["terminate called after throwing an instance of 'std::bad_alloc'"], 0, "bad_alloc", True),
        (1, ["numpy.MemoryError: Unable to allocate 3 GiB"], 0, "exit code 1", True),
        (-11, ["noise"], 3, "killed by SIGSEGV; its last words: noise", False),
        (7, ["ImportError: no such thing"], 0, "exit code 7; its last words: ImportError: no such thing", False),
        (0, ["noise"], 0, "exit code 0", False),
    ],
)
def test_what_a_worker_died_of_is_told_apart_as_far_as_the_system_says(code, words, kills, said, memory):
    told, for_want_of_memory = cause_of_death(code, words, kills)
    assert said in told
    assert for_want_of_memory is memory


def test_a_worker_that_aborts_for_want_of_memory_is_said_to(tmp_path, monkeypatch):
    program = "#!/bin/sh\nread order\necho \"terminate called: 'std::bad_alloc'\" >&2\nkill -ABRT $$\n"
    with pytest.raises(OutOfMemory, match="out of memory, killed by SIGABRT"):
        worker_that(tmp_path, monkeypatch, program).do(ORDER, lambda _: None, None)


def test_want_of_memory_is_known_by_its_kind_and_not_by_its_words():
    class Own(MemoryError):
        pass

    with pytest.raises(MemoryError) as numpy_fault:
        np.empty(1 << 50)
    assert is_out_of_memory(numpy_fault.value)
    for fault in (Own(), OSError(errno.ENOMEM, "no"), ImportError("x.so: failed to map segment from shared object")):
        assert is_out_of_memory(fault)
    for fault in (ValueError("out of memory"), OSError(errno.ENOSPC, "full"), ImportError("no module")):
        assert not is_out_of_memory(fault)


def test_a_real_worker_without_memory_says_so_and_is_replaced(pool, planned, images, tmp_path):
    plan = planned(images, tmp_path / "cache", model={"head": {"units": [10**11]}})
    before = set(pool.process_ids())
    with pytest.raises(OutOfMemory, match="the worker ran out of memory: ") as caught:
        pool.do(plan.order("features", ("ncnn", 0)), lambda _: None, timeout=600)
    assert not caught.value.final
    until(lambda: len([pid for pid in before if psutil.pid_exists(pid)]) == 1, 5, "the end of the worker")


def test_what_dead_pools_left_is_removed_and_what_is_in_use_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used = Scratch()
    for name in ("abandoned", "just-made"):
        (tmp_path / f"{OF_WORKERS}{name}").mkdir()
    (tmp_path / f"{OF_WORKERS}abandoned" / "part").write_bytes(b"x")
    (tmp_path / "of-others").mkdir()
    for folder in (used.folder, tmp_path / f"{OF_WORKERS}abandoned", tmp_path / "of-others"):
        os.utime(folder, (1, 1))
    other = Scratch()
    kept = {used.folder, other.folder, tmp_path / f"{OF_WORKERS}just-made", tmp_path / "of-others"}
    assert {Path(folder) for folder in tmp_path.iterdir()} == kept
    for own in (used, other):
        own.remove()
        assert not own.folder.exists()


def test_a_pipe_of_another_users_in_the_shared_folder_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pipe = tmp_path / f"{OF_WORKERS}pipe"
    os.mkfifo(pipe)
    os.utime(pipe, (1, 1))
    made = threading.Thread(target=Scratch, daemon=True)
    made.start()
    made.join(5)
    held_up = made.is_alive()
    os.close(os.open(pipe, os.O_RDWR))  # lets one go who waits for a writer
    assert not held_up

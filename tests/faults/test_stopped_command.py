from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import psutil
import pytest

from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.processes import alive, ended, until
from tests.support.studio import one_json, quick


@pytest.fixture(scope="module")
def story(studio):
    """`foldcam run` three times: Ctrl-C in fold 1, SIGKILL in fold 1, and then to the end."""
    write_classes(studio.folder / "images", {"down": 9, "across": 9})
    file = studio.write(quick("images", name="stopped", folds={"n_splits": 2}))
    told = SimpleNamespace(studio=studio)
    told.interrupted = stopped(studio, file, signal.SIGINT)
    told.after_interrupt = states(studio)
    told.killed = stopped(studio, file, signal.SIGKILL)
    told.after_kill = states(studio)
    with studio.inside():
        told.last = foldcam("run", file, "--json")
    told.after_last = states(studio)
    return told


def states(studio):
    return [(run.info.run_name, run.info.status, run.data.tags["foldcam.status"]) for run in studio.runs()]


def stopped(studio, file, with_signal):
    """Start the command, send it a signal while fold 1 runs, and see how it and its children end."""
    before = len(studio.runs("fold", fold="1"))
    process = studio.start("run", str(file))
    with ended(process):
        until(lambda: len(studio.runs("fold", fold="1")) > before, 120, "fold 1")
        children = psutil.Process(process.pid).children(recursive=True)
        started = time.monotonic()
        os.kill(process.pid, with_signal)
        _, err = process.communicate(timeout=240)
        seconds = time.monotonic() - started
    left_at_once = alive(children)
    psutil.wait_procs(left_at_once, timeout=60)
    return SimpleNamespace(
        code=process.returncode,
        err=err,
        seconds=seconds,
        children=children,
        left_at_once=left_at_once,
        left=alive(left_at_once),
    )


def test_ctrl_c_ends_within_seconds_with_the_exit_code_of_a_partial_run(story):
    assert story.interrupted.code == 3
    assert story.interrupted.seconds < 15


def test_ctrl_c_is_answered_with_one_line_and_no_traceback(story):
    assert "Traceback" not in story.interrupted.err
    assert story.interrupted.err.splitlines()[-1].startswith("Stopped. ")


def test_ctrl_c_leaves_no_process_behind(story):
    assert story.interrupted.children
    assert story.interrupted.left_at_once == []


def test_ctrl_c_leaves_no_run_running(story):
    assert [name for name, status, _ in story.after_interrupt if status == "RUNNING"] == []
    assert ("ncnn/0", "FINISHED", "completed") in story.after_interrupt
    assert ("ncnn/1", "FAILED", "failed") in story.after_interrupt
    assert ("stopped", "FINISHED", "partial") in story.after_interrupt


def test_the_workers_of_a_killed_command_end_by_themselves(story):
    assert story.killed.code == -signal.SIGKILL
    assert story.killed.children
    assert story.killed.left == []


def test_the_next_call_marks_what_the_killed_one_left_running(story):
    assert [status for _, status, _ in story.after_kill].count("RUNNING") == 3
    assert [name for name, status, _ in story.after_last if status == "RUNNING"] == []


def test_the_next_call_reuses_the_finished_fold_run_and_does_the_other(story):
    assert story.last.code == 0, story.last.err
    folds = one_json(story.last.out)["backbones"]["ncnn"]["folds"]
    assert [fold["status"] for fold in folds] == ["reused", "completed"]

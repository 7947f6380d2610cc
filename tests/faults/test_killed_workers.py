from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

import pytest

from flows.cross_validate import cross_validate
from tasks.experiment_file import read_experiment
from tasks.workers.events import FoldEvent, subscribe
from tests.support.images import write_classes
from tests.support.processes import alive, until, workers_of
from tests.support.studio import quick


class Killer:
    """Kills one worker with SIGKILL as soon as a fold run is in training."""

    def __init__(self):
        self.events, self.killed, self._lock = [], [], threading.Lock()

    def __call__(self, event):
        if not isinstance(event, FoldEvent):
            return
        with self._lock:
            self.events.append(event)
            if event.state == "training" and not self.killed:
                self.killed = [worker.pid for worker in workers_of(os.getpid())][:1]
                for pid in self.killed:
                    os.kill(pid, 9)

    def states_of(self, fold):
        return [event.state for event in self.events if event.fold == fold]


@pytest.fixture(scope="module")
def images(studio):
    return write_classes(studio.folder / "images", {"down": 8, "across": 8})


@pytest.fixture(scope="module")
def rescued(studio, images):
    """An experiment in which a worker is killed once, with one retry."""
    file = studio.write(quick(images, name="rescued", training={"epochs": 3, "batch_size": 4}, runner={"workers": 2}))
    killer = Killer()
    with studio.inside(), subscribe(killer):
        started = time.monotonic()
        result = cross_validate(file)
    return SimpleNamespace(studio=studio, killer=killer, result=result, seconds=time.monotonic() - started)


@pytest.fixture(scope="module")
def lost(studio, images):
    """The same without a retry."""
    runner = {"workers": 1, "retries": 0}
    file = studio.write(quick(images, name="lost", training={"epochs": 3, "batch_size": 4}, runner=runner))
    killer = Killer()
    with studio.inside(), subscribe(killer):
        result = cross_validate(file)
    return SimpleNamespace(studio=studio, killer=killer, result=result, file=file)


def runs_of(studio, name, level="fold"):
    experiment = studio.client.get_experiment_by_name(name)
    return [run for run in studio.runs(level) if run.info.experiment_id == experiment.experiment_id]


def test_a_killed_worker_costs_one_retry_and_no_result(rescued):
    assert rescued.killer.killed
    assert rescued.result.status == "completed"
    assert rescued.result.runs["status"].tolist() == ["completed", "completed"]


def test_the_retry_is_told_and_the_other_fold_run_is_unharmed(rescued):
    told = [event for event in rescued.killer.events if event.state == "retrying"]
    assert len(told) == 1
    assert "SIGKILL" in told[0].message
    other = 1 - told[0].fold
    assert rescued.killer.states_of(other).count("starting") == 1
    assert rescued.killer.states_of(told[0].fold).count("starting") == 2
    assert rescued.killer.states_of(told[0].fold)[-1] == "completed"


def test_the_try_that_was_killed_is_recorded_as_failed(rescued):
    runs = runs_of(rescued.studio, "rescued")
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED"]
    [failed] = [run for run in runs if run.info.status == "FAILED"]
    assert failed.data.tags["foldcam.status"] == "failed"
    assert "SIGKILL" in failed.data.tags["foldcam.error"]


def test_no_worker_outlives_the_experiment(rescued):
    until(lambda: not alive(workers_of(os.getpid())), 5, "the workers' end")


def test_without_a_retry_the_fold_run_is_failed_and_the_experiment_partial(lost):
    assert lost.result.status == "partial"
    [failure] = lost.result.failures
    assert "SIGKILL" in failure.error
    assert len(lost.result.backbones["ncnn"].finished) == 1


def test_a_partial_experiment_is_recorded_truthfully(lost):
    folds = runs_of(lost.studio, "lost")
    assert sorted(run.info.status for run in folds) == ["FAILED", "FINISHED"]
    for level in ("experiment", "backbone"):
        [run] = runs_of(lost.studio, "lost", level)
        assert run.data.tags["foldcam.status"] == "partial"
        assert run.info.status == "FINISHED"
    assert "SIGKILL" in runs_of(lost.studio, "lost", "experiment")[0].data.tags["foldcam.error"]


def test_the_next_call_does_just_what_is_missing(lost):
    with lost.studio.inside():
        result = cross_validate(lost.file)
    assert result.status == "completed"
    assert sorted(result.runs["status"]) == ["completed", "reused"]
    assert result.experiment_run_id == lost.result.experiment_run_id
    [run] = runs_of(lost.studio, "lost", "experiment")
    assert run.data.tags["foldcam.status"] == "completed"
    assert "foldcam.error" not in run.data.tags


def test_a_fold_run_that_takes_too_long_is_ended_and_reported(studio, images):
    runner = {"workers": 1, "retries": 0, "timeout_minutes": 0.05}
    settings = quick(images, name="slow", training={"epochs": 100_000, "early_stopping_patience": None}, runner=runner)
    with studio.inside():
        result = cross_validate(read_experiment(studio.write(settings)), folds=[0])
    assert result.status == "failed"
    [failure] = result.failures
    assert failure.error == "it took longer than the limit of 3 seconds"
    assert [run.info.status for run in runs_of(studio, "slow")] == ["FAILED"]

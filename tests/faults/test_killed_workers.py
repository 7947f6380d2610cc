from __future__ import annotations

import os
import threading
from types import SimpleNamespace

import pytest

from flows.cross_validate import cross_validate
from tasks.experiment_file import read_experiment
from tasks.workers.events import FoldEvent, subscribe
from tests.support.images import write_classes
from tests.support.kept_workers import kept_workers
from tests.support.processes import alive, until, workers_of
from tests.support.studio import quick


class Killer:
    """Kills one worker with SIGKILL as soon as a fold run is in training; those of other tests are left alone."""

    def __init__(self):
        self.events, self.killed, self._lock = [], [], threading.Lock()
        self._others = workers_of(os.getpid())

    def workers(self):
        return [worker for worker in workers_of(os.getpid()) if worker not in self._others]

    def __call__(self, event):
        if not isinstance(event, FoldEvent):
            return
        with self._lock:
            self.events.append(event)
            if event.state == "training" and not self.killed:
                self.killed = [worker.pid for worker in self.workers()][:1]
                for pid in self.killed:
                    os.kill(pid, 9)

    def states_of(self, fold):
        return [event.state for event in self.events if event.fold == fold]


@pytest.fixture(scope="module")
def images(studio):
    return write_classes(studio.folder / "images", {"down": 8, "across": 8})


@pytest.fixture(scope="module")
def lost(studio, images):
    """An experiment of two folds in which a worker is killed once, without a retry."""
    runner = {"workers": 1, "retries": 0}
    file = studio.write(quick(images, name="killed", training={"epochs": 3, "batch_size": 4}, runner=runner))
    killer = Killer()
    with studio.inside(), subscribe(killer):
        result = cross_validate(file)
    return SimpleNamespace(
        studio=studio,
        file=file,
        killer=killer,
        result=result,
        folds=runs_of(studio, "killed"),
        above=[*runs_of(studio, "killed", "backbone"), *runs_of(studio, "killed", "experiment")],
    )


@pytest.fixture(scope="module")
def rescued(lost):
    """What the next call gives, in which no worker is killed."""
    with lost.studio.inside(), kept_workers():
        return cross_validate(lost.file)


def runs_of(studio, name, level="fold"):
    experiment = studio.client.get_experiment_by_name(name)
    return [run for run in studio.runs(level) if run.info.experiment_id == experiment.experiment_id]


def test_without_a_retry_the_fold_run_is_failed_and_the_experiment_partial(lost):
    assert lost.killer.killed
    assert lost.result.status == "partial"
    [failure] = lost.result.failures
    assert "SIGKILL" in failure.error
    assert lost.killer.states_of(failure.fold)[-1] == "failed"


def test_the_other_fold_run_is_unharmed(lost):
    [other] = lost.result.backbones["ncnn"].finished
    assert lost.killer.states_of(other.fold).count("starting") == 1
    assert lost.killer.states_of(other.fold)[-1] == "completed"


def test_a_partial_experiment_is_recorded_truthfully(lost):
    assert sorted(run.info.status for run in lost.folds) == ["FAILED", "FINISHED"]
    [failed] = [run for run in lost.folds if run.info.status == "FAILED"]
    assert failed.data.tags["foldcam.status"] == "failed"
    assert "SIGKILL" in failed.data.tags["foldcam.error"]
    for run in lost.above:
        assert run.data.tags["foldcam.status"] == "partial"
        assert run.info.status == "FINISHED"
    assert "SIGKILL" in lost.above[-1].data.tags["foldcam.error"]


def test_no_worker_outlives_the_experiment(lost):
    until(lambda: not alive(lost.killer.workers()), 5, "the workers' end")


def test_the_next_call_does_just_what_is_missing(lost, rescued):
    assert rescued.status == "completed"
    assert sorted(rescued.runs["status"]) == ["completed", "reused"]
    assert rescued.experiment_run_id == lost.result.experiment_run_id
    [run] = runs_of(lost.studio, "killed", "experiment")
    assert run.data.tags["foldcam.status"] == "completed"
    assert "foldcam.error" not in run.data.tags


def test_every_try_is_in_the_record(lost, rescued):
    runs = runs_of(lost.studio, "killed")
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED"]


def test_a_fold_run_that_takes_too_long_is_ended_and_reported(studio, images):
    runner = {"workers": 1, "retries": 0, "timeout_minutes": 0.05}
    settings = quick(images, name="slow", training={"epochs": 100_000, "early_stopping_patience": None}, runner=runner)
    with studio.inside(), kept_workers():
        result = cross_validate(read_experiment(studio.write(settings)), folds=[0])
    assert result.status == "failed"
    [failure] = result.failures
    assert failure.error == "it took longer than the limit of 3 seconds"
    assert [run.info.status for run in runs_of(studio, "slow")] == ["FAILED"]

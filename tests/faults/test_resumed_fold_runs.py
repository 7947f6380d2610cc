from __future__ import annotations

import json
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from flows.cross_validate import cross_validate
from tasks.workers.events import FoldEvent, subscribe
from tests.support.disturbed import assert_as_undisturbed, weights
from tests.support.processes import workers_of


class Killer:
    """Kills the one worker in the training of fold 0, once it is past an epoch whose state is kept."""

    def __init__(self, folder):
        self.folder, self.kept, self.seen, self.events, self._lock = folder, 0, [], [], threading.Lock()
        self._others = workers_of(os.getpid())

    def __call__(self, event):
        if not isinstance(event, FoldEvent) or event.fold != 0:
            return
        with self._lock:
            self.events.append(event)
            if event.epoch is None:
                return
            self.seen.append(event.epoch)
            if event.epoch >= 3 and not self.kept:
                for worker in workers_of(os.getpid()):
                    if worker not in self._others:
                        worker.kill()
                self.kept = self.epochs_kept()

    def epochs_kept(self):
        [file] = self.folder.glob("*.npz")
        with np.load(file) as kept:
            return len(json.loads(kept["header"].tobytes())["facts"]["history"])


@pytest.fixture(scope="module")
def story(studio, undisturbed_run):
    """The small experiment, its worker killed while fold 0 is trained."""
    file = studio.write(undisturbed_run.settings | {"runner": {"workers": 1, "retries": 1}})
    killer = Killer(studio.folder / "cache" / "fits")
    with studio.inside(), subscribe(killer):
        result = cross_validate(file)
    return SimpleNamespace(studio=studio, killer=killer, result=result)


def runs_of_fold_0(story):
    return [run for run in story.studio.runs("fold") if run.data.tags["foldcam.fold"] == "0"]


def test_a_fold_run_killed_in_training_gives_what_it_would_have_given(story, undisturbed_run):
    assert story.killer.kept
    assert story.result.status == "completed"
    assert_as_undisturbed(story.studio, undisturbed_run)
    assert weights(story.studio) == undisturbed_run.weights


def test_people_are_told_of_the_kill_and_of_the_second_try(story):
    [told] = [event for event in story.killer.events if event.state == "retrying"]
    assert "SIGKILL" in told.message
    states = [event.state for event in story.killer.events]
    assert states.count("starting") == 2
    assert states[-1] == "completed"


def test_the_next_try_goes_on_from_the_epoch_that_is_kept(story):
    seen, kept = story.killer.seen, story.killer.kept
    again = [*range(kept + 1, seen[-1] + 1)]
    assert any(seen == [*range(1, first + 1), *again] for first in range(3, len(seen))), (kept, seen)


def test_the_record_says_from_where_and_why(story):
    failed, last = runs_of_fold_0(story)
    assert failed.info.status == "FAILED"
    assert "SIGKILL" in failed.data.tags["foldcam.error"]
    assert "resumed_from_epoch" not in failed.data.params
    assert last.data.params["resumed_from_epoch"] == str(story.killer.kept)
    assert last.data.metrics["seconds/train"] >= sum(
        point.value for point in story.studio.client.get_metric_history(last.info.run_id, "train/seconds")
    )


def test_the_last_try_carries_the_whole_history(story, undisturbed_run):
    _, last = runs_of_fold_0(story)
    points = story.studio.client.get_metric_history(last.info.run_id, "val/loss")
    steps = sorted(point.step for point in points)
    assert steps == list(range(len(undisturbed_run.figures["ncnn/0"]["val/loss"])))


def test_nothing_is_left_of_the_fits_states(story):
    assert list((story.studio.folder / "cache" / "fits").iterdir()) == []

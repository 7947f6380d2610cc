from __future__ import annotations

import os
import random
import signal
import time
from types import SimpleNamespace

import pytest

from tests.support.disturbed import (
    Moment,
    assert_as_undisturbed,
    disturb,
    finish,
    kill_tree,
    long,
    random_moment,
    rounds,
)
from tests.support.processes import alive, until, workers_of
from tests.support.studio import make_studio


def kill_a_worker(process):
    for worker in workers_of(process.pid)[:1]:
        worker.kill()


def kill_the_command(process):
    os.kill(process.pid, signal.SIGKILL)


def terminate(process):
    os.kill(process.pid, signal.SIGTERM)


def interrupt(process):
    os.kill(process.pid, signal.SIGINT)


def interrupt_twice(process):
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)


FAULTS = {
    "a worker": kill_a_worker,
    "the command": kill_the_command,
    "everything": kill_tree,
    "SIGTERM": terminate,
    "Ctrl-C": interrupt,
    "Ctrl-C twice": interrupt_twice,
}


def gone(ended):
    until(lambda: not alive(ended.children), 10, "the end of all that the command had started")


@pytest.fixture(scope="module")
def story(studio, undisturbed_run):
    """One experiment after the other fault: Ctrl-C twice, a power cut, and then to its end."""
    file = studio.write(undisturbed_run.settings)
    interrupted = disturb(studio, file, Moment(1.0, in_folds=True), interrupt_twice)
    gone(interrupted)
    after = [run.info.run_name for run in studio.runs() if run.info.status == "RUNNING"]
    cut = disturb(studio, file, Moment(1.0, in_folds=True), kill_tree)
    gone(cut)
    finish(studio, file)
    return SimpleNamespace(studio=studio, interrupted=interrupted, running_after_interrupt=after, cut=cut)


def test_ctrl_c_twice_ends_with_one_line_and_the_exit_code_of_a_partial_run(story):
    assert story.interrupted.struck
    assert story.interrupted.code == 3
    assert "Traceback" not in story.interrupted.err
    assert story.interrupted.err.splitlines()[-1].startswith("Stopped. ")


def test_ctrl_c_twice_leaves_no_run_running(story):
    assert story.running_after_interrupt == []


def test_after_ctrl_c_and_a_power_cut_the_experiment_ends_as_if_nothing_had_been(story, undisturbed_run):
    assert story.cut.struck
    assert story.cut.code == -signal.SIGKILL
    assert_as_undisturbed(story.studio, undisturbed_run)


@long
def test_undisturbed_again_is_the_same(own_studio, undisturbed_run):
    finish(own_studio, own_studio.write(undisturbed_run.settings))
    assert_as_undisturbed(own_studio, undisturbed_run)


@long
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", rounds())
def test_at_any_moment(own_studio, undisturbed_run, fault, seed):
    file = own_studio.write(undisturbed_run.settings)
    gone(disturb(own_studio, file, random_moment(seed, undisturbed_run), FAULTS[fault]))
    finish(own_studio, file)
    assert_as_undisturbed(own_studio, undisturbed_run)


@long
@pytest.mark.parametrize("seed", rounds())
def test_one_fault_after_the_other(own_studio, undisturbed_run, seed):
    file, draw = own_studio.write(undisturbed_run.settings), random.Random(seed)
    for number in range(6):
        fault = FAULTS[draw.choice(sorted(FAULTS))]
        gone(disturb(own_studio, file, random_moment(seed + number, undisturbed_run), fault))
    finish(own_studio, file)
    assert_as_undisturbed(own_studio, undisturbed_run)


@long
@pytest.mark.parametrize("seed", rounds())
def test_a_power_cut_with_a_prefect_server_of_its_own(tmp_path, empty_store, undisturbed_run, seed):
    variables = {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300"}
    studio = make_studio(tmp_path / "studio", empty_store, **variables)
    file = studio.write(undisturbed_run.settings)
    gone(disturb(studio, file, random_moment(seed, undisturbed_run), kill_tree))
    finish(studio, file)
    assert_as_undisturbed(studio, undisturbed_run)

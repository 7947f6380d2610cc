from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support.disturbed import assert_as_undisturbed, completed, finish, half_written, kill_tree, long, rounds
from tests.support.images import write_classes
from tests.support.processes import PATIENCE, ended, until
from tests.support.studio import one_json, quick


def both(studio, *files):
    """Run the command on several files at the same time, to their ends."""
    processes = [studio.start("run", str(file), "--json") for file in files]
    answers = []
    for process in processes:
        with ended(process):
            out, err = process.communicate(timeout=240 * PATIENCE)
        answers.append(SimpleNamespace(code=process.returncode, out=out, err=err))
    return answers


def statuses(answer):
    return [fold["status"] for own in one_json(answer.out)["backbones"].values() for fold in own["folds"]]


@pytest.fixture(scope="module")
def twice(studio):
    write_classes(studio.folder / "images", {"down": 8, "across": 8})
    file = studio.write(quick("images", name="twice"))
    return SimpleNamespace(studio=studio, answers=both(studio, file, file))


def test_both_end_well_and_one_has_done_the_work(twice):
    assert [answer.code for answer in twice.answers] == [0, 0], [answer.err for answer in twice.answers]
    found = sorted(map(statuses, twice.answers))
    assert found == [["completed", "completed"], ["reused", "reused"]]


def test_the_other_one_says_whom_it_waits_for(twice):
    told = [answer.err for answer in twice.answers if "this experiment runs already" in " ".join(answer.err.split())]
    assert len(told) == 1
    assert "process" in told[0]


def test_no_run_is_there_twice_and_none_runs(twice):
    runs = twice.studio.runs()
    assert sorted(run.data.tags["foldcam.level"] for run in runs) == ["backbone", "experiment", "fold", "fold"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert half_written(twice.studio) == []


def test_both_tell_the_same_figures(twice):
    first, second = (one_json(answer.out)["backbones"]["ncnn"]["metrics"] for answer in twice.answers)
    assert first == second


@long
def test_two_experiments_that_share_fold_runs_do_each_once(own_studio):
    write_classes(own_studio.folder / "images", {"down": 8, "across": 8})
    one = own_studio.write(quick("images", name="shared"), "one.yaml")
    two = own_studio.write(quick("images", name="shared", champion={"enabled": True}), "two.yaml")
    answers = both(own_studio, one, two)
    assert [answer.code for answer in answers] == [0, 0], [answer.err for answer in answers]
    assert len(completed(own_studio)) == 2
    assert len(own_studio.runs("experiment")) == 2


@long
def test_different_experiments_on_one_new_store_and_cache_do_not_harm_each_other(own_studio, undisturbed_run):
    (own_studio.folder / "mlflow.db").unlink()
    other = own_studio.write(undisturbed_run.settings | {"name": "other", "seed": 7}, "other.yaml")
    answers = both(own_studio, own_studio.write(undisturbed_run.settings), other)
    assert [answer.code for answer in answers] == [0, 0], [answer.err for answer in answers]
    client = own_studio.client
    client.delete_experiment(client.get_experiment_by_name("other").experiment_id)
    assert_as_undisturbed(own_studio, undisturbed_run)


@long
@pytest.mark.parametrize("seed", rounds())
def test_who_waits_goes_on_when_the_other_is_killed(own_studio, undisturbed_run, seed):
    file = own_studio.write(undisturbed_run.settings)
    first = own_studio.start("run", str(file), "--json")
    with ended(first):
        until(lambda: own_studio.runs("fold"), 120, "the first fold run")
        second = own_studio.start("run", str(file), "--json")
        with ended(second):
            kill_tree(first)
            _, err = second.communicate(timeout=240 * PATIENCE)
            assert second.returncode == 0, err
    finish(own_studio, file)
    assert_as_undisturbed(own_studio, undisturbed_run)

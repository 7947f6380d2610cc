from __future__ import annotations

import pytest

from tasks.config import Unfinished
from tasks.tracking.ledger import Ledger
from tasks.tracking.node_ledger import CUT_SHORT, Errand, NodeLedger, Superseded, end_left, runs_of_job
from tasks.tracking.patience import Unreachable
from tasks.tracking.runs import ERROR, JOB, OWNER
from tests.support.studio import make_studio


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_store):
    """An experiment whose run and whose backbone's run are open, and the ledger that keeps them."""
    studio = make_studio(tmp_path_factory.mktemp("studio"), empty_store)
    ledger = Ledger(studio.tracking_uri, "cluster")
    ledger.open_experiment(ledger.look_up("e" * 64, {}), "cluster", {"foldcam.fingerprint": "e" * 64})
    ledger.open_backbone("ncnn", "b" * 64, "digest")
    return ledger


def at_node(home, job, done_before=""):
    errand = Errand(job, home.experiment_run_id, home.backbone_run("ncnn"), "ncnn", "host:1:2", done_before)
    return NodeLedger(home.tracking_uri, "cluster", errand)


def opened(ledger, fingerprint):
    return ledger.open_fold("ncnn", 0, fingerprint, "digest")


def run_of(home, run_id):
    return home.client.get_run(run_id)


def test_a_fold_run_of_a_node_belongs_to_its_job_and_to_who_started_the_experiment(home):
    tags = run_of(home, opened(at_node(home, "job-a"), "a" * 64)).data.tags
    assert tags[JOB] == "job-a"
    assert tags[OWNER] == "host:1:2"
    assert tags["mlflow.parentRunId"] == home.backbone_run("ncnn")
    assert tags["foldcam.experiment_run"] == home.experiment_run_id


def test_a_second_try_ends_what_a_lost_node_has_left_open_and_nothing_else(home):
    lost, other = opened(at_node(home, "job-b"), "b" * 64), opened(at_node(home, "job-c"), "c" * 64)
    again = at_node(home, "job-b")
    assert again.take_over("b" * 64) is None
    assert again.taken_over
    assert run_of(home, lost).info.status == "FAILED"
    assert run_of(home, lost).data.tags[ERROR] == CUT_SHORT
    assert run_of(home, other).info.status == "RUNNING"
    assert not at_node(home, "job-d").taken_over


def test_a_node_that_was_taken_for_lost_cannot_complete_its_fold_run(home):
    lost = at_node(home, "job-e")
    run_id = opened(lost, "f" * 64)
    again = at_node(home, "job-e")
    again.take_over("f" * 64)
    second = opened(again, "f" * 64)
    again.end(second, "completed")
    with pytest.raises(Superseded, match="begun again elsewhere"):
        lost.end(run_id, "completed")
    lost.end(run_id, "failed", "superseded")
    states = {run.info.run_id: run.data.tags["foldcam.status"] for run in runs_of_job(home, ["job-e"])}
    assert states == {run_id: "failed", second: "completed"}


def cut_off(home, monkeypatch, tmp_path, job):
    """Give a ledger whose fold run is completed and waits on its node, which was taken for lost, and the run's id."""
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path))
    lost = at_node(home, job)
    run_id = opened(lost, "4" * 64)
    with monkeypatch.context() as away:
        away.setattr(lost.runs, "end", unreachable)
        away.setattr("tasks.tracking.ledger.deliver", unreachable)
        with pytest.raises(Unfinished):
            lost.end(run_id, "completed")
    return lost, run_id


def unreachable(*_, **__):
    raise Unreachable("the server is gone.")


def test_what_waits_on_a_node_that_was_cut_off_does_not_count_while_another_one_does_it_again(
    home, monkeypatch, tmp_path
):
    lost, run_id = cut_off(home, monkeypatch, tmp_path, "job-l")
    again = at_node(home, "job-l")
    again.take_over("4" * 64)
    second = opened(again, "4" * 64)
    assert lost.deliver_left() == 1
    again.end(second, "completed")
    states = {run.info.run_id: run.data.tags["foldcam.status"] for run in runs_of_job(home, ["job-l"])}
    assert states == {run_id: "failed", second: "completed"}


def test_what_waits_on_a_node_that_was_cut_off_counts_where_the_second_try_failed(home, monkeypatch, tmp_path):
    lost, run_id = cut_off(home, monkeypatch, tmp_path, "job-m")
    again = at_node(home, "job-m")
    again.take_over("4" * 64)
    again.end(opened(again, "4" * 64), "failed", "out of memory")
    assert lost.deliver_left() == 1
    assert run_of(home, run_id).data.tags["foldcam.status"] == "completed"


def test_a_fold_run_whose_node_was_lost_just_after_it_is_not_done_again(home):
    first = at_node(home, "job-g")
    run_id = opened(first, "1" * 64)
    first.writer(run_id).client.log_metric(run_id, "test/accuracy", 0.75)
    first.end(run_id, "completed")
    found = at_node(home, "job-g").take_over("1" * 64)
    assert (found.run_id, found.metrics) == (run_id, {"accuracy": 0.75})


def test_what_was_on_record_before_is_not_taken_for_the_fold_run_that_is_to_be_done_again(home):
    first = at_node(home, "job-h")
    run_id = opened(first, "2" * 64)
    first.end(run_id, "completed")
    assert at_node(home, "job-i").done_meanwhile("2" * 64).run_id == run_id
    assert at_node(home, "job-j", done_before=run_id).done_meanwhile("2" * 64) is None


def test_what_an_engine_has_given_up_is_ended_with_its_reason(home):
    run_id = opened(at_node(home, "job-k"), "3" * 64)
    end_left(home, ["job-k"], "three nodes were lost with it")
    assert run_of(home, run_id).info.status == "FAILED"
    assert run_of(home, run_id).data.tags[ERROR] == "three nodes were lost with it"
    end_left(home, ["job-k"], "another reason")
    assert run_of(home, run_id).data.tags[ERROR] == "three nodes were lost with it"

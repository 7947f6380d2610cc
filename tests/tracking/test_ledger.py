from __future__ import annotations

import threading

import pytest

from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.records import Tags

NOTHING = Known(None, {})
FOLDS = {("ncnn", 0): "f0", ("ncnn", 1): "f1"}


@pytest.fixture
def ledger(uri, runs):
    """A ledger of the MLflow experiment `study`, its experiment and one backbone opened."""
    return opened(uri)


def opened(uri):
    ledger = Ledger(uri, "study")
    known = ledger.look_up("whole", FOLDS)
    ledger.open_experiment(known, "study", {"foldcam.fingerprint": "whole"})
    ledger.open_backbone("ncnn", "backbone", "digest")
    return ledger


def states(client, ledger):
    found = client.search_runs([ledger.runs.experiment_id])
    return {run.info.run_name: (run.info.status, run.data.tags["foldcam.status"]) for run in found}


def test_an_mlflow_experiment_is_made_on_first_use(uri, client):
    ledger = Ledger(uri, "neu: größe")
    assert client.get_experiment(ledger.runs.experiment_id).name == "neu: größe"
    assert Ledger(uri, "neu: größe").runs.experiment_id == ledger.runs.experiment_id
    assert ledger.look_up("whole", FOLDS) == NOTHING


def test_runs_stand_in_three_levels_with_their_tags(ledger, client):
    fold = client.get_run(ledger.open_fold("ncnn", 1, "f1", "digest"))
    backbone = client.get_run(fold.data.tags["mlflow.parentRunId"])
    assert backbone.info.run_id == ledger.backbone_run("ncnn")
    assert backbone.data.tags["mlflow.parentRunId"] == ledger.experiment_run_id
    for run, level, fingerprint in ((fold, "fold", "f1"), (backbone, "backbone", "backbone")):
        tags = {"level": level, "backbone": "ncnn", "fingerprint": fingerprint, "data_digest": "digest"}
        assert {name: run.data.tags[f"foldcam.{name}"] for name in tags} == tags
    assert fold.data.tags["foldcam.fold"] == "1"
    assert [run.info.run_name for run in (fold, backbone)] == ["ncnn/1", "ncnn"]


def test_a_later_call_goes_on_with_the_same_runs_and_knows_what_is_done(ledger, uri, client):
    done, broken = (ledger.open_fold("ncnn", number, f"f{number}", "digest") for number in range(2))
    ledger.end(done, "completed")
    ledger.end(broken, "failed", "killed")
    ledger.end_open("stopped")
    assert not ledger.resumed
    later = Ledger(uri, "study")
    known = later.look_up("whole", FOLDS)
    assert known.run_id == ledger.experiment_run_id
    assert {fingerprint: record.run_id for fingerprint, record in known.folds.items()} == {"f0": done}
    assert later.open_experiment(known, "study", {}) == ledger.experiment_run_id
    assert later.resumed
    assert later.open_backbone("ncnn", "backbone", "digest") == (ledger.backbone_run("ncnn"), False)
    assert states(client, later)["study"] == ("RUNNING", "started")


def test_a_fresh_start_makes_runs_of_its_own(ledger, uri):
    later = Ledger(uri, "study")
    assert later.open_experiment(NOTHING, "study", {}) != ledger.experiment_run_id
    assert later.open_backbone("ncnn", "backbone", "digest") == (later.backbone_run("ncnn"), True)
    assert later.backbone_run("ncnn") != ledger.backbone_run("ncnn")


def test_a_run_ends_once_whoever_comes_first(ledger, client):
    run_id = ledger.open_fold("ncnn", 0, "f0", "digest")
    ledger.end(run_id, "completed")
    ledger.end(run_id, "failed", "too late")
    ledger.end_open("later still")
    assert states(client, ledger)["ncnn/0"] == ("FINISHED", "completed")
    assert "foldcam.error" not in client.get_run(run_id).data.tags


def test_whatever_is_open_is_ended_folds_as_failed_and_the_rest_as_partial_if_anything_is_done(ledger, client):
    ledger.end(ledger.open_fold("ncnn", 0, "f0", "digest"), "completed")
    open_fold = ledger.open_fold("ncnn", 1, "f1", "digest")
    ledger.end_open("stopped by Ctrl-C")
    assert states(client, ledger) == {
        "study": ("FINISHED", "partial"),
        "ncnn": ("FINISHED", "partial"),
        "ncnn/0": ("FINISHED", "completed"),
        "ncnn/1": ("FAILED", "failed"),
    }
    assert client.get_run(open_fold).data.tags["foldcam.error"] == "stopped by Ctrl-C"


def test_where_nothing_was_done_everything_open_has_failed(ledger, client):
    ledger.open_fold("ncnn", 0, "f0", "digest")
    ledger.end_open("stopped")
    assert set(states(client, ledger).values()) == {("FAILED", "failed")}


def test_what_an_earlier_call_has_done_counts_as_done(ledger, uri, client):
    ledger.end(ledger.open_fold("ncnn", 0, "f0", "digest"), "completed")
    ledger.end_open("stopped")
    later = opened(uri)
    later.end_open("stopped again")
    assert states(client, later)["study"] == ("FINISHED", "partial")


def test_what_cannot_be_ended_does_not_keep_the_others_open(ledger, client, caplog):
    lost = ledger.open_fold("ncnn", 0, "f0", "digest")
    client.delete_run(lost)
    ledger.end_open("stopped")
    assert states(client, ledger) == {"study": ("FAILED", "failed"), "ncnn": ("FAILED", "failed")}
    assert lost in caplog.text


def test_many_threads_may_open_and_end_fold_runs_at_once(ledger, client):
    def work(number):
        run_id = ledger.open_fold("ncnn", number, f"f{number}", "digest")
        ledger.end(run_id, "completed")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = states(client, ledger)
    assert [found[f"ncnn/{number}"] for number in range(8)] == [("FINISHED", "completed")] * 8
    ledger.end_open("")
    assert {status for status, _ in states(client, ledger).values()} == {"FINISHED"}


def test_the_writer_of_a_run_writes_to_it(ledger, client):
    ledger.writer(ledger.experiment_run_id).write([Tags({"a": "b"})])
    assert client.get_run(ledger.experiment_run_id).data.tags["a"] == "b"

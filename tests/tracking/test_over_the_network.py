"""Writing to a real MLflow server through a forwarder that loses, delays and refuses."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient, artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import Model as MLmodel

from tasks.config import InputError, Preprocessing, Unfinished
from tasks.dataset.targets import Targets
from tasks.tracking import logged_model
from tasks.tracking.client import PatientClient
from tasks.tracking.epoch_log import EpochLog
from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.patience import VARIABLE, Unreachable, for_at_most, patience_with
from tasks.tracking.records import Dataset, File, Folder, Metrics, Model, Params, Tags, Text
from tasks.tracking.runs import OWNER
from tasks.tracking.uploads import send_folder
from tasks.tracking.writer import Writer
from tests.support.faulty_proxy import Fault, every, faulty_proxy, once
from tests.support.readback import tree
from tests.support.servers import mlflow_over_http

TWO = Targets(("a", "b"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_store):
    folder = tmp_path_factory.mktemp("server")
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    with mlflow_over_http(folder, f"sqlite:///{folder / 'mlflow.db'}") as url:
        yield url


@pytest.fixture
def proxy(server):
    with faulty_proxy(server) as found:
        yield found


@pytest.fixture
def direct(server):
    """A client that no fault befalls."""
    return MlflowClient(server)


@pytest.fixture
def client(proxy):
    return PatientClient(proxy.url)


@pytest.fixture
def run_id(direct, request):
    return direct.create_run(_experiment(direct, request.node.name), run_name="ncnn/0").info.run_id


def _experiment(direct, name):
    found = direct.get_experiment_by_name(name)
    return found.experiment_id if found else direct.create_experiment(name)


def content(folder):
    """Give records of every kind that a fold run has but for its model, with their files."""
    (folder / "plots" / "per class").mkdir(parents=True)
    (folder / "history.csv").write_text("epoch\n0\n")
    for name in ("roc.png", "loss.png", "per class/größe.png"):
        (folder / "plots" / name).write_bytes(name.encode() * 100)
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["a", "b"]})
    return [
        Params({"seed": 1, "training.epochs": 3}),
        Dataset(table, "eyes", "0" * 64, "/data", context="testing"),
        Dataset(table, "eyes", "1" * 64, "/data", context="training"),
        File(folder / "history.csv"),
        Folder(folder / "plots", "plots"),
        Text("größe", "notes/about.txt"),
        *(Metrics({"val/loss": 1 / (step + 1)}, step) for step in range(3)),
        Tags({"mlflow.runColor": "#4477AA"}),
    ]


def seen(client, run_id):
    """Give all that the record has of a run, but for ids and times."""
    run = client.get_run(run_id)
    return {
        "status": run.info.status,
        "params": run.data.params,
        "tags": {name: text for name, text in run.data.tags.items() if name.startswith("mlflow.runC")},
        "history": [(own.step, own.value) for own in client.get_metric_history(run_id, "val/loss")],
        "metrics": run.data.metrics,
        "artifacts": sorted(tree(client, run)),
        "datasets": sorted((own.dataset.digest, own.tags[0].value) for own in run.inputs.dataset_inputs),
    }


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """What a run looks like that no fault befell."""
    client = PatientClient(server)
    run_id = client.create_run(client.create_experiment("undisturbed"), run_name="ncnn/0").info.run_id
    Writer(server, run_id).write(content(tmp_path_factory.mktemp("undisturbed")))
    return seen(client, run_id)


def test_the_undisturbed_run_has_it_all(undisturbed):
    assert undisturbed["history"] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert {"history.csv", "plots/roc.png", "plots/per class/größe.png", "notes/about.txt"} <= set(
        undisturbed["artifacts"]
    )
    assert len(undisturbed["datasets"]) == 2


@pytest.mark.parametrize("away", [False, True])
def test_a_model_is_made_once_whatever_is_lost_and_loads(proxy, direct, tmp_path, monkeypatch, away):
    """Answers are lost while it is logged, or the server is away and the model waits on disk."""
    ledger = opened(proxy, f"model {away}")
    (tmp_path / "network.keras").write_bytes(b"weights")
    example = np.zeros((2, 8, 8, 3), np.uint8)
    record = Model(tmp_path / "network.keras", TWO, [], Preprocessing(), 8, example, {"size": 8}, {"test/a": 0.5})
    save = logged_model.pyfunc.save_model
    monkeypatch.setattr(logged_model.pyfunc, "save_model", lambda **given: save(**given | {"input_example": None}))
    run_id = ledger.open_fold(*FOLD)
    if away:
        monkeypatch.setenv(VARIABLE, "0")
        proxy.gone = True
        ledger.writer(run_id).write([record])
        ledger.end(run_id, "completed")
        monkeypatch.setenv(VARIABLE, "60")
        proxy.gone = False
    proxy.script = every(2, Fault(lost=True, after=True), only="mlflow/")
    if away:
        ledger.deliver()
    else:
        ledger.writer(run_id).write([record])
        ledger.end(run_id, "completed")
    proxy.script = None
    run = direct.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"test/a": 0.5})
    [made] = direct.search_logged_models([run.info.experiment_id])
    assert [own.model_id for own in run.outputs.model_outputs] == [made.model_id]
    assert (made.name, made.status, made.params) == ("model", "READY", {"size": "8"})
    assert [(metric.key, metric.value) for metric in made.metrics] == [("test/a", 0.5)]
    place = f"{made.artifact_location}/MLmodel"
    about = MLmodel.load(artifacts.download_artifacts(place, tracking_uri=direct.tracking_uri))
    assert (about.model_id, about.run_id) == (made.model_id, run_id)
    ledger.end_open("")


def test_a_model_of_many_files_gets_through_where_every_fifth_call_fails(proxy, direct, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "30")
    (tmp_path / "model" / "artifacts").mkdir(parents=True)
    names = {"MLmodel", *(f"artifacts/{number}.json" for number in range(12))}
    for name in names:
        (tmp_path / "model" / name).write_text(name)
    model = direct.create_logged_model(direct.create_experiment("many files"), "model")
    proxy.script = every(5, Fault(500))
    send_folder(tmp_path / "model", partial(PatientClient(proxy.url).log_model_artifact, model.model_id))
    proxy.script = None
    assert proxy.struck >= 2
    there = Path(artifacts.download_artifacts(model.artifact_location, tracking_uri=direct.tracking_uri))
    assert {file.relative_to(there).as_posix() for file in there.rglob("*") if file.is_file()} == names


FAULTS = {
    "500": Fault(500),
    "429": Fault(429, headers=(("Retry-After", "0"),)),
    "503": Fault(503),
    "lost on the way": Fault(lost=True),
    "answer lost": Fault(lost=True, after=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_with_every_third_call_disturbed_a_run_is_as_without_and_nothing_is_twice(
    proxy, direct, run_id, tmp_path, undisturbed, fault
):
    proxy.script = every(3, FAULTS[fault])
    Writer(proxy.url, run_id).write(content(tmp_path))
    assert proxy.struck >= 3
    assert seen(direct, run_id) == undisturbed


def test_a_run_whose_making_was_not_answered_is_made_once(proxy, client, direct, run_id):
    experiment = direct.get_run(run_id).info.experiment_id
    proxy.script = once(Fault(lost=True, after=True), only="runs/create")
    made = client.create_run(experiment, tags={"foldcam.level": "fold"}).info.run_id
    assert proxy.struck == 1
    assert {run.info.run_id for run in direct.search_runs([experiment])} == {run_id, made}


def test_a_server_that_asks_to_be_left_alone_is(proxy, client):
    proxy.script = once(Fault(429, headers=(("Retry-After", "2"),)))
    began = time.monotonic()
    client.search_experiments()
    assert time.monotonic() - began >= 2
    assert proxy.struck == 1


def test_what_is_wrong_with_a_call_is_said_at_once(proxy, client):
    with pytest.raises(MlflowException, match="not found"):
        client.get_run("0" * 32)
    assert proxy.total == 1


def test_a_server_that_stays_away_is_given_up_in_time_and_then_asked_once_each(proxy, client, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1.5")
    with proxy.away():
        began = time.monotonic()
        with pytest.raises(Unreachable, match="could not be reached"):
            client.search_experiments()
        assert 0.5 < time.monotonic() - began < 10
        monkeypatch.setenv(VARIABLE, "600")
        began = time.monotonic()
        with pytest.raises(Unreachable):
            client.search_experiments()
        assert time.monotonic() - began < 10
    assert client.search_experiments()
    assert not patience_with(proxy.url).away


def test_a_server_that_comes_back_in_time_has_not_been_missed(proxy, client):
    proxy.gone = True
    back = threading.Timer(1.5, lambda: setattr(proxy, "gone", False))
    back.start()
    assert client.search_experiments()
    back.join()


def test_whoever_waits_can_be_told_to_stop(proxy, client):
    patience = patience_with(proxy.url)
    proxy.gone = True
    stop = threading.Timer(1.0, patience.give_up)
    stop.start()
    began = time.monotonic()
    with pytest.raises(Unreachable):
        client.search_experiments()
    assert time.monotonic() - began < 20
    patience.begin()


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(proxy, client, monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InputError, match=VARIABLE):
        client.search_experiments()


def test_training_does_not_wait_for_a_slow_server_and_no_epoch_is_lost(proxy, direct, run_id):
    proxy.script = lambda _, path: Fault(seconds=1.0) if "log-batch" in path else None
    log = EpochLog(Writer(proxy.url, run_id))
    began = time.monotonic()
    for epoch in range(200):
        log.add(epoch, {"epoch": epoch, "val/loss": float(epoch), "seconds": 0.1})
    assert time.monotonic() - began < 0.9
    log.flush()
    history = direct.get_metric_history(run_id, "val/loss")
    assert [(own.step, own.value) for own in history] == [(epoch, float(epoch)) for epoch in range(200)]
    assert proxy.calls["POST /mlflow/runs/log-batch"] <= 2


def test_a_figure_that_is_no_number_is_not_lost_in_the_thread_that_sends_it(proxy, run_id):
    log = EpochLog(Writer(proxy.url, run_id))
    log.add(0, {"epoch": 0, "val/loss": float("nan")})
    with pytest.raises(ValueError, match="val/loss"):
        log.flush()


FOLD = ("ncnn", 0, "f0", "digest")


def opened(proxy, name):
    ledger = Ledger(proxy.url, name)
    ledger.open_experiment(Known(None, {}), name, {"foldcam.fingerprint": "whole"})
    ledger.open_backbone("ncnn", "backbone", "digest")
    return ledger


def fold_runs(direct, name):
    wanted = "tags.`foldcam.level` = 'fold'"
    return direct.search_runs([direct.get_experiment_by_name(name).experiment_id], wanted)


def waiting(proxy, tmp_path, monkeypatch, name, *, away_from):
    """Do a fold run while the server is away from some moment on, and give its ledger."""
    monkeypatch.setenv(VARIABLE, "0.2")
    ledger = opened(proxy, name)
    proxy.gone = away_from == "start"
    run_id = ledger.open_fold(*FOLD)
    records = content(tmp_path)
    proxy.gone = proxy.gone or away_from == "content"
    ledger.writer(run_id).write(records[:4])
    proxy.gone = proxy.gone or away_from == "middle"
    ledger.writer(run_id).write(records[4:])
    proxy.gone = True
    ledger.end(run_id, "completed")
    return ledger, run_id


@pytest.mark.parametrize("away_from", ["start", "content", "middle", "end"])
def test_what_was_done_while_the_server_was_away_is_delivered_whole_and_once(
    proxy, direct, tmp_path, monkeypatch, undisturbed, away_from
):
    name = f"away {away_from}"
    ledger, run_id = waiting(proxy, tmp_path / "content", monkeypatch, name, away_from=away_from)
    assert run_id.startswith("waiting-") == (away_from == "start")
    proxy.gone = False
    ledger.deliver()
    [run] = fold_runs(direct, name)
    assert ledger.settled(run_id) == run.info.run_id
    assert seen(direct, run.info.run_id) == undisturbed | {"status": "FINISHED"}
    assert run.data.tags["mlflow.parentRunId"] == ledger.backbone_run("ncnn")
    assert (run.data.tags["foldcam.fingerprint"], run.data.tags["foldcam.status"]) == ("f0", "completed")
    assert ledger.deliver_left() == 0
    ledger.end_open("")


def test_a_delivery_that_breaks_off_again_and_again_comes_to_the_same(
    proxy, direct, tmp_path, monkeypatch, undisturbed
):
    ledger, _ = waiting(proxy, tmp_path / "content", monkeypatch, "broken off", away_from="start")
    proxy.gone = False
    monkeypatch.setenv(VARIABLE, "0")
    broken = 0
    for _ in range(60):
        proxy.script = every(4 + broken % 5, Fault(lost=True, after=broken % 2 == 0))
        try:
            ledger.deliver_left()
            break
        except Unfinished:
            broken += 1
    proxy.script = None
    assert 2 < broken < 60
    [run] = fold_runs(direct, "broken off")
    assert seen(direct, run.info.run_id) == undisturbed | {"status": "FINISHED"}
    ledger.end_open("")


def test_what_was_done_again_meanwhile_does_not_count_twice(proxy, direct, tmp_path, monkeypatch):
    ledger, _ = waiting(proxy, tmp_path / "content", monkeypatch, "again", away_from="content")
    proxy.gone = False
    again = ledger.open_fold(*FOLD)
    ledger.runs.end(again, "completed")
    ledger.deliver()
    completed = [run for run in fold_runs(direct, "again") if run.data.tags["foldcam.status"] == "completed"]
    assert [run.info.run_id for run in completed] == [again]
    assert {run.info.status for run in fold_runs(direct, "again")} == {"FINISHED", "FAILED"}
    ledger.end_open("")


def test_the_ends_of_the_runs_above_wait_too_and_do_not_undo_what_came_after(proxy, direct, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0.2")
    ledger = opened(proxy, "above")
    with proxy.away():
        ledger.end_open("stopped: the server is away")
    later = opened_again(proxy, "above")
    assert later.resumed
    direct.set_tag(later.experiment_run_id, OWNER, "another process, as it would be")
    assert later.deliver_left() == 2
    states = {run.info.run_name: run.info.status for run in direct.search_runs([later.runs.experiment_id])}
    assert states == {"above": "RUNNING", "ncnn": "FAILED"}
    later.end_open("")


def opened_again(proxy, name):
    ledger = Ledger(proxy.url, name)
    ledger.open_experiment(ledger.look_up("whole", {}), name, {})
    return ledger


def test_a_shorter_patience_holds_for_its_block_alone(proxy, client):
    with proxy.away(), for_at_most(0), pytest.raises(Unreachable):
        client.search_experiments()
    patience_with(proxy.url).begin()
    proxy.script = once(Fault(503))
    assert client.search_experiments()

from __future__ import annotations

import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tasks.tracking import owners
from tasks.tracking.runs import OWNER, PARENT, Runs

ROOT = Path(__file__).parents[2]


def fold(runs, fingerprint, status=None, *, backbone="ncnn", number=0, parent=None, metrics=None):
    tags = {"foldcam.fingerprint": fingerprint, "foldcam.backbone": backbone, "foldcam.fold": str(number)}
    run_id = runs.start("fold", f"{backbone}/{number}", parent=parent, tags=tags)
    for name, value in (metrics or {}).items():
        runs.client.log_metric(run_id, name, value)
    if status:
        runs.end(run_id, status)
    return run_id


def test_a_started_run_says_what_it_is_and_runs(runs, client):
    parent = runs.start("experiment", "study", parent=None, tags={})
    run = client.get_run(runs.start("backbone", "ncnn", parent=parent, tags={"foldcam.backbone": "ncnn"}))
    assert (run.info.run_name, run.info.status) == ("ncnn", "RUNNING")
    wanted = {"level": "backbone", "status": "started", "backbone": "ncnn", "version": version("foldcam")}
    assert {name: run.data.tags[f"foldcam.{name}"] for name in wanted} == wanted
    assert run.data.tags[PARENT] == parent
    assert PARENT not in client.get_run(parent).data.tags


@pytest.mark.parametrize(
    ("status", "shown"), [("completed", "FINISHED"), ("partial", "FINISHED"), ("failed", "FAILED")]
)
def test_a_run_ends_as_it_did_in_words_and_in_mlflow(runs, client, status, shown):
    run_id = fold(runs, "f")
    runs.end(run_id, status, "Größe fehlt. " * 1000)
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["foldcam.status"]) == (shown, status)
    assert run.info.end_time >= run.info.start_time
    assert run.data.tags["foldcam.error"].startswith("Größe fehlt. ")


def test_a_run_that_ends_well_has_no_reason(runs, client):
    assert "foldcam.error" not in client.get_run(fold(runs, "f", "completed")).data.tags


def test_a_resumed_run_runs_again_and_can_end_otherwise(runs, client):
    run_id = fold(runs, "f")
    runs.end(run_id, "partial", "two folds failed")
    runs.resume(run_id)
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["foldcam.status"]) == ("RUNNING", "started")
    runs.end(run_id, "completed")
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["foldcam.status"]) == ("FINISHED", "completed")
    assert "foldcam.error" not in run.data.tags


def test_a_run_is_found_by_level_fingerprint_and_parent_the_newest_first(runs, client):
    one = fold(runs, "f", parent="p1")
    two = fold(runs, "f", parent="p2")
    fold(runs, "g")
    runs.start("backbone", "ncnn", parent=None, tags={"foldcam.fingerprint": "f"})
    assert runs.find("fold", "f") == two
    assert runs.find("fold", "f", parent="p1") == one
    assert runs.find("fold", "f", parent="p3") is None
    assert runs.find("fold", "h") is None
    client.delete_run(two)
    assert runs.find("fold", "f") == one


def test_runs_of_another_mlflow_experiment_are_not_found(runs, client):
    fold(Runs(client, client.create_experiment("other")), "f", "completed")
    assert runs.find("fold", "f") is None
    assert runs.completed_folds(["f"]) == {}


def test_completed_fold_runs_are_found_by_fingerprint_and_no_others(runs, client):
    fold(runs, "done", "completed", metrics={"test/accuracy": 0.1})
    newest = fold(runs, "done", "completed", metrics={"test/accuracy": 0.9, "val/loss": 2.0, "seconds/total": 3.5})
    fold(runs, "broken", "failed")
    fold(runs, "running")
    deleted = fold(runs, "deleted", "completed")
    client.delete_run(deleted)
    fold(runs, "not asked for", "completed")
    found = runs.completed_folds(["done", "broken", "running", "deleted"])
    assert set(found) == {"done"}
    record = found["done"]
    assert (record.run_id, record.backbone, record.fold, record.fingerprint) == (newest, "ncnn", 0, "done")
    assert record.metrics == {"accuracy": 0.9}
    assert record.seconds == 3.5


def test_many_runs_are_looked_through_page_by_page(runs, client, monkeypatch):
    wanted = {f"f{number}" for number in range(7)}
    for fingerprint in sorted(wanted):
        fold(runs, fingerprint, "completed")
    search = client.search_runs
    monkeypatch.setattr(client, "search_runs", lambda *args, **named: search(*args, **(named | {"max_results": 3})))
    assert set(runs.completed_folds(sorted(wanted))) == wanted


def test_a_completed_experiment_gives_its_backbones_in_their_order(runs):
    experiment = runs.start("experiment", "study", parent=None, tags={})
    ids = {
        name: runs.start("backbone", name, parent=experiment, tags={"foldcam.backbone": name}) for name in ("z", "a")
    }
    assert runs.completed_tree(experiment) is None
    runs.end(experiment, "completed")
    found = runs.completed_tree(experiment)
    assert {name: record.run_id for name, record in found.items()} == ids
    assert list(found) == ["z", "a"]


KILLED = """
import os, signal, sys
from mlflow import MlflowClient
from tasks.tracking.runs import Runs
runs = Runs(MlflowClient(sys.argv[1]), sys.argv[2])
print(*(runs.start(level, level, parent=None, tags={}) for level in ("fold", "experiment")), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_runs_of_a_killed_process_are_ended_and_those_of_living_ones_left(uri, runs, client):
    command = [sys.executable, "-c", KILLED, uri, runs.experiment_id]
    out = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout
    killed = out.split()[-2:]
    own = fold(runs, "mine")
    done = fold(runs, "done", "completed")
    assert [client.get_run(run_id).info.status for run_id in killed] == ["RUNNING", "RUNNING"]
    assert set(runs.end_orphans()) == set(killed)
    for run_id in killed:
        run = client.get_run(run_id)
        assert (run.info.status, run.data.tags["foldcam.status"]) == ("FAILED", "failed")
        assert "was killed" in run.data.tags["foldcam.error"]
    assert client.get_run(own).info.status == "RUNNING"
    assert client.get_run(done).data.tags["foldcam.status"] == "completed"
    assert runs.end_orphans() == []


def test_a_process_number_that_another_process_has_now_is_an_orphan_too(runs, client):
    run_id = fold(runs, "f")
    host, pid, started = client.get_run(run_id).data.tags[OWNER].rsplit(":", 2)
    client.set_tag(run_id, OWNER, f"{host}:{pid}:{started}0")
    assert runs.end_orphans() == [run_id]


@pytest.mark.parametrize("owner", ["another-host:1:0.0", "", "nonsense", "a:b:c", f"{socket.gethostname()}:1:c"])
def test_runs_of_other_machines_or_of_nobody_known_are_left(runs, client, owner):
    run_id = fold(runs, "f")
    client.set_tag(run_id, OWNER, owner)
    assert runs.end_orphans() == []
    assert client.get_run(run_id).info.status == "RUNNING"


def test_a_host_whose_name_holds_colons_is_no_trouble(runs, client, monkeypatch):
    monkeypatch.setattr(owners.socket, "gethostname", lambda: "fe80::1")
    run_id = fold(runs, "f")
    assert runs.end_orphans() == []
    client.set_tag(run_id, OWNER, "fe80::1:999999999:5.00")
    assert runs.end_orphans() == [run_id]

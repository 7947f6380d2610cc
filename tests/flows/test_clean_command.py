from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace

import pytest
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, ViewType

from tasks.tracking.records import Text
from tasks.tracking.registry import EXPERIMENT_RUN
from tasks.tracking.store import local_path
from tasks.workers.claims import claimed, experiment_key
from tests.support.command import foldcam
from tests.support.recorded_runs import RecordedJob
from tests.support.studio import make_studio, one_json

SETTINGS = {"name": "eyes", "data": {"path": "gone"}, "folds": {"n_splits": 2}, "backbones": {"ncnn": {}}}


@pytest.fixture
def place(tmp_path, empty_store):
    studio = make_studio(tmp_path / "place", empty_store)
    with studio.inside():
        yield studio


def recorded(place):
    return RecordedJob(place.tracking_uri, SETTINGS).whole()


def clean(*options):
    answer = foldcam("clean", *options, "--json")
    assert answer.code == 0, answer.err
    return one_json(answer.out)


def kept(found):
    return {run["run_id"]: run["why_kept"] for run in found["runs"] if not run["goes"]}


def ids(place, level=None):
    return {run.info.run_id for run in place.runs(level)}


def with_network(place, run_id):
    """Give a run a network of 1,000 bytes and give its id."""
    client, run = place.client, place.client.get_run(run_id)
    model = client.create_logged_model(run.info.experiment_id, "model", run_id)
    folder = local_path(model.artifact_location)
    folder.mkdir(parents=True)
    (folder / "network.keras").write_bytes(b"x" * 1000)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return SimpleNamespace(model_id=model.model_id, folder=folder)


def folders(place):
    return {folder.name for folder in (place.folder / "mlruns" / "1").iterdir()}


def test_without_a_rule_no_run_goes(place):
    recorded(place)
    assert clean("--yes")["runs"] == []
    assert len(ids(place)) == 4


def test_a_dry_run_says_what_would_go_and_removes_nothing(place):
    job = recorded(place)
    before = ids(place)
    found = clean("--older-than", "0h", "--dry-run")
    assert [(run["run_id"], run["goes"], run["runs"]) for run in found["runs"]] == [(job.run_id, True, 4)]
    assert found["frees_bytes"] >= found["runs"][0]["bytes"] > 0
    assert ids(place) == before


def test_runs_go_with_all_that_they_logged_and_out_of_the_bin_too(place):
    old, new = recorded(place), recorded(place)
    other = place.client.create_run(place.client.create_experiment("not-ours"))
    place.client.delete_run(other.info.run_id)
    found = clean("--keep-last", "1", "--yes")
    assert found["removed"]
    assert kept(found) == {new.run_id: "among the newest 1 of eyes"}
    assert old.run_id not in ids(place)
    assert len(ids(place)) == 4
    assert folders(place) <= ids(place)
    deleted = place.client.search_runs(["1", other.info.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert [run.info.run_id for run in deleted] == [other.info.run_id]  # the bin of others is left alone


def test_without_yes_and_without_a_terminal_nothing_is_removed(place):
    recorded(place)
    before = ids(place)
    message = foldcam("clean", "--older-than", "0h").refused()
    assert "Nothing was removed: --yes" in message
    assert ids(place) == before


def test_what_is_younger_stays(place):
    job = recorded(place)
    assert kept(clean("--older-than", "1d", "--yes")) == {job.run_id: "ended 0 days ago"}


def test_what_a_registered_version_stands_on_stays(place):
    job = recorded(place)
    client = place.client
    client.create_registered_model("eyes")
    source = f"{client.get_run(job.run_id).info.artifact_uri}/model"
    client.create_model_version("eyes", source, job.run_id, tags={EXPERIMENT_RUN: job.run_id})
    client.set_registered_model_alias("eyes", "champion", "1")
    before = ids(place)
    found = clean("--older-than", "0h", "--yes")
    assert kept(found) == {job.run_id: "version 1, champion, of the registered model eyes is of it"}
    assert ids(place) == before


def test_what_a_kept_experiment_reuses_stays_and_what_nobody_reuses_goes(place):
    first, unused = recorded(place), recorded(place)
    fold = next(run for run in place.runs("fold") if run.data.tags[EXPERIMENT_RUN] == first.run_id)
    last = RecordedJob(place.tracking_uri, SETTINGS)
    backbone = last.backbone("ncnn")
    table = f"fold,run_id,status,error,seconds\n0,{fold.info.run_id},reused,,1\n"
    last.ledger.writer(backbone).write([Text(table, "fold_runs.csv")])
    last.fold("ncnn", 1, [3, 4, 5])
    last.ledger.end(backbone, "completed")
    last.ledger.end(last.run_id, "completed")
    found = clean("--keep-last", "1", "--yes")
    assert list(kept(found)) == [last.run_id, first.run_id]
    assert "reuses it" in kept(found)[first.run_id]
    assert unused.run_id not in ids(place)
    assert fold.info.run_id in ids(place)


def test_nothing_of_a_name_goes_while_one_of_that_name_runs(place):
    done = recorded(place)
    running = RecordedJob(place.tracking_uri, SETTINGS)
    found = clean("--older-than", "0h", "--yes")
    assert set(kept(found)) == {done.run_id, running.run_id}
    assert "of this name runs" in kept(found)[done.run_id]


def test_an_experiment_that_has_just_begun_keeps_its_name(place):
    recorded(place)
    before = ids(place)
    with claimed(place.folder / "cache", *experiment_key(place.tracking_uri, "eyes"), alone=False):
        message = foldcam("clean", "--older-than", "0h", "--yes").refused()
    assert "eyes runs now" in message
    assert ids(place) == before


def test_while_results_wait_to_be_delivered_nothing_goes(place):
    job = recorded(place)
    (place.folder / "cache" / "waiting" / "some").mkdir(parents=True)
    assert kept(clean("--older-than", "0h", "--yes")) == {job.run_id: "results wait for `foldcam sync`"}


def test_failed_takes_failed_fold_runs_alone(place):
    job = RecordedJob(place.tracking_uri, SETTINGS)
    job.backbone("ncnn")
    failed = job.fold("ncnn", 0, [0, 1, 2], status="failed")
    job.fold("ncnn", 0, [0, 1, 2])
    job.ledger.end(job.ledger.backbone_run("ncnn"), "partial")
    job.ledger.end(job.run_id, "partial")
    found = clean("--failed", "--yes")
    assert [run["run_id"] for run in found["runs"] if run["goes"]] == [failed]
    assert len(ids(place)) == 3
    assert failed not in ids(place)


def test_models_takes_the_networks_and_leaves_the_record(place):
    recorded(place)
    fold = next(iter(ids(place, "fold")))
    model = with_network(place, fold)
    before = ids(place)
    found = clean("--older-than", "0h", "--models", "--yes")
    assert found["freed_bytes"] == 1000
    assert not model.folder.exists()
    assert ids(place) == before
    assert place.client.get_run(fold).data.tags["foldcam.cleaned"] == "models"
    assert clean("--older-than", "0h", "--models", "--yes")["freed_bytes"] == 0


def test_a_removal_that_was_cut_off_is_finished_by_the_next(place):
    job, other = recorded(place), recorded(place)
    for run_id in [run.info.run_id for run in place.runs() if run.data.tags.get(EXPERIMENT_RUN) == job.run_id]:
        place.client.set_tag(run_id, "foldcam.cleaned", "run")
        place.client.delete_run(run_id)
    clean("--keep-last", "1", "--yes")
    assert folders(place) <= ids(place)
    assert job.run_id not in ids(place)
    assert other.run_id in ids(place)


def test_only_the_experiments_that_are_named(place):
    recorded(place)
    assert "Is eyes meant?" in foldcam("clean", "--older-than", "0h", "--experiment", "eye").refused()


def test_leftovers_go_and_what_is_being_written_stays(place):
    home = place.folder / "cache"
    for name in ("arrays/old.1.tmp", "manifests/old.tmp", "plans/p/.old.tmp", "manifests/new.tmp"):
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 10)
        if "old" in name:
            os.utime(file, (time.time() - 7200,) * 2)
            os.utime(file.parent, (time.time() - 7200,) * 2)
    found = clean("--yes")
    gone = {os.path.relpath(left["path"], home) for left in found["files"] if str(home) in left["path"]}
    assert gone == {"arrays/old.1.tmp", "manifests/old.tmp", "plans/p/.old.tmp"}
    assert [file.name for file in home.rglob("*") if file.is_file()] == ["new.tmp"]


def test_the_cache_loses_what_was_long_not_used(place):
    home = place.folder / "cache"
    for name, days in (("plans/old/folds.csv", 40), ("plans/new/folds.csv", 1), ("artifacts/old/x.csv", 40)):
        file = home / name
        file.parent.mkdir(parents=True)
        file.write_text("x")
        for path in (file, file.parent):
            os.utime(path, (time.time() - days * 86400,) * 2)
    assert not [left for left in clean("--cache", "--older-than", "60d", "--dry-run")["files"] if left["goes"]]
    clean("--cache", "--yes")
    assert sorted(path.relative_to(home).as_posix() for path in home.rglob("*.csv")) == ["plans/new/folds.csv"]


def test_what_people_see_says_why(place):
    recorded(place)
    answer = foldcam("clean", "--older-than", "30d", "--dry-run")
    assert answer.code == 0
    assert "stays: ended 0 days ago" in " ".join(answer.out.split())
    assert "There is nothing to remove." in answer.out


@pytest.mark.parametrize("age", ["3", "3x", "-1d", "d", "1.5d"])
def test_an_age_that_is_none_is_refused(place, age):
    assert "--older-than" in foldcam("clean", f"--older-than={age}").refused()


def test_json_is_one_object(place):
    assert json.loads(foldcam("clean", "--json").out)["removed"] is False

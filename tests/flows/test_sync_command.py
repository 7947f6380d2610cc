from __future__ import annotations

import json

import pytest

from tasks.tracking.calls import Batch, Point, TextFile
from tasks.tracking.outbox import Head, Outbox, Seal
from tasks.tracking.owners import this_process
from tasks.tracking.runs import PARENT, started_tags
from tests.support.command import foldcam

PNG = TextFile("größe", "notes/about.txt")
GONE = this_process().rpartition(":")[0].rpartition(":")[0] + ":999999999:5.00"


@pytest.fixture
def place(own_store):
    """A store of its own, in which a backbone's run has been left running."""
    client = own_store.client
    experiment = client.create_experiment("eyes", (own_store.folder / "artifacts").as_uri())
    tags = started_tags("backbone", None, {"foldcam.backbone": "ncnn", "foldcam.owner": GONE})
    return own_store, client.create_run(experiment, tags=tags, run_name="ncnn").info.run_id


@pytest.fixture
def own_store(tmp_path, empty_store, monkeypatch):
    from tests.support.studio import make_studio

    studio = make_studio(tmp_path / "studio", empty_store)
    for name, value in studio.environment.items():
        monkeypatch.setenv(name, value)
    with studio.inside():
        yield studio


def fold_left(studio, backbone_run, fold, *, sealed=True, address=None, by=GONE, calls=()):
    tags = {"foldcam.backbone": "ncnn", "foldcam.fold": str(fold), "foldcam.fingerprint": f"f{fold}"}
    own = started_tags("fold", backbone_run, tags)
    head = Head(
        address or studio.tracking_uri, "eyes", "fold", f"ncnn/{fold}", f"k{fold}", None, own, 1000 + fold, by, by
    )
    parcel = Outbox().parcel(head)
    for call in (Batch({}, {"seed": "1"}, [Point("val/loss", 0.5, 1100), Point("val/loss", 0.25, 1200, 1)]), *calls):
        parcel.add(call)
    if sealed:
        parcel.close(Seal("completed", "", 2000))
    return parcel


def end_left(studio, run_id):
    Outbox().parcel(Head(studio.tracking_uri, "eyes", "backbone", "ncnn", run_id, run_id, {}, 1, GONE, GONE)).close(
        Seal("partial", "the server was away", 3000)
    )


def test_with_nothing_waiting_it_says_so(place):
    answer = foldcam("sync")
    assert answer.code == 0
    assert answer.out.startswith("Nothing waits for sqlite:///")
    assert json.loads(foldcam("sync", "--json").out)["delivered"] == []


def test_what_waits_is_delivered_below_its_parent_with_its_times_and_the_next_step_is_told(place):
    studio, backbone_run = place
    end_left(studio, backbone_run)
    for fold in (1, 0):
        fold_left(studio, backbone_run, fold, calls=[PNG])
    told = json.loads(foldcam("sync", "--json").out)
    assert [(own["level"], own["name"], own["status"]) for own in told["delivered"]] == [
        ("fold", "ncnn/0", "completed"),
        ("fold", "ncnn/1", "completed"),
        ("backbone", "ncnn", "partial"),
    ]
    assert told["compare_next"] == ["eyes"]
    runs = studio.runs("fold", status="completed")
    assert [run.info.run_id for run in runs] == [own["run_id"] for own in told["delivered"][:2]]
    for fold, run in enumerate(runs):
        assert (run.info.start_time, run.info.end_time, run.info.status) == (1000 + fold, 2000, "FINISHED")
        assert (run.data.tags[PARENT], run.data.tags["foldcam.fingerprint"]) == (backbone_run, f"f{fold}")
        history = studio.client.get_metric_history(run.info.run_id, "val/loss")
        assert [(own.step, own.value, own.timestamp) for own in history] == [(0, 0.5, 1100), (1, 0.25, 1200)]
    above = studio.client.get_run(backbone_run)
    assert (above.info.status, above.data.tags["foldcam.status"], above.info.end_time) == ("FINISHED", "partial", 3000)
    assert foldcam("sync").out.startswith("Nothing waits")
    assert len(studio.runs("fold")) == 2


def test_people_are_told_the_same(place):
    studio, backbone_run = place
    fold_left(studio, backbone_run, 0)
    answer = foldcam("sync")
    assert answer.code == 0
    assert "eyes ncnn/0: completed" in answer.out
    assert "1 run delivered to sqlite:///" in answer.out
    assert "the same `foldcam run` as before" in " ".join(answer.out.split())


def test_what_was_cut_short_by_a_kill_is_removed_and_what_is_being_written_left(place):
    studio, backbone_run = place
    fold_left(studio, backbone_run, 0, sealed=False)
    fold_left(studio, backbone_run, 1, sealed=False, by=this_process())
    told = json.loads(foldcam("sync", "--json").out)
    assert (told["abandoned"], told["still_running"], told["delivered"]) == (["eyes ncnn/0"], ["eyes ncnn/1"], [])
    assert [parcel.folder.name for parcel in Outbox().parcels()] == ["k1"]
    assert studio.runs("fold") == []


def test_what_waits_for_another_server_is_left_until_that_has_moved_here(place):
    studio, backbone_run = place
    fold_left(studio, backbone_run, 0, address="http://old:5000")
    told = json.loads(foldcam("sync", "--json").out)
    assert (told["for_other_servers"], told["delivered"]) == ({"http://old:5000": 1}, [])
    assert "`foldcam sync --moved`" in " ".join(foldcam("sync").out.split())
    assert len(json.loads(foldcam("sync", "--moved", "--json").out)["delivered"]) == 1
    assert len(studio.runs("fold", status="completed")) == 1


def test_what_the_store_does_not_take_is_kept_and_keeps_none_of_the_others(place):
    studio, backbone_run = place
    fold_left(studio, backbone_run, 0, calls=[Batch({}, {"seed": "2"}, [])])
    fold_left(studio, backbone_run, 1)
    answer = foldcam("sync", "--json")
    assert answer.code == 3
    told = json.loads(answer.out)
    assert [own["name"] for own in told["delivered"]] == ["ncnn/1"]
    [refused] = told["refused"]
    assert (refused["experiment"], refused["name"]) == ("eyes", "ncnn/0")
    assert [parcel.folder.name for parcel in Outbox().parcels()] == ["k0"]

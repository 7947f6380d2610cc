from __future__ import annotations

import os
import threading

import pytest

from flows.listings import clear_cache
from tasks.dataset.locks import hold_existing
from tasks.tracking.calls import Batch, Inputs, Point, TextFile, Upload, read_call
from tasks.tracking.delivery import deliver, in_order, is_abandoned
from tasks.tracking.outbox import HEAD, Head, Outbox, Parcel, Seal, waiting_home
from tasks.tracking.owners import this_process


def head(key="k1", level="fold", started=5, by=None):
    own = this_process() if by is None else by
    return Head("http://user:secret@host:5000", "eyes", level, "ncnn/0", key, None, {"a": "b"}, started, own, own)


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "waiting")


def test_it_lies_in_foldcams_home_or_among_the_users_data_and_never_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path))
    assert waiting_home() == tmp_path / "waiting"
    monkeypatch.delenv("FOLDCAM_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert waiting_home().is_relative_to(tmp_path / "data")


def test_every_call_comes_back_as_it_was_with_its_files_and_in_its_place(outbox, tmp_path):
    made = tmp_path / "made"
    (made / "per class").mkdir(parents=True)
    (made / "per class" / "größe.png").write_bytes(b"png")
    (tmp_path / "history.csv").write_text("epoch\n")
    calls = [
        Batch({"t": "größe"}, {"p": "1"}, [Point("val/loss", 0.1, 17, 3), Point("test/a", 0.5, 18, of_model=True)]),
        Upload(tmp_path / "history.csv", "tables"),
        Upload(made, "plots"),
        TextFile("größe", "about.txt"),
        Inputs([({"name": "eyes", "digest": "0"}, "testing")]),
    ]
    parcel = outbox.parcel(head())
    for call in calls:
        parcel.add(call)
    found = [read_call(folder) for folder in outbox.find("k1").calls]
    assert [found[0], found[3], found[4]] == [calls[0], calls[3], calls[4]]
    assert (found[1].place, found[1].path.name, found[1].path.read_text()) == ("tables", "history.csv", "epoch\n")
    assert (found[2].place, (found[2].path / "per class" / "größe.png").read_bytes()) == ("plots", b"png")


def test_a_call_that_cannot_be_kept_whole_is_not_kept_at_all(outbox, tmp_path):
    parcel = outbox.parcel(head())
    parcel.add(TextFile("first", "a.txt"))
    with pytest.raises(FileNotFoundError):
        parcel.add(Upload(tmp_path / "gone"))
    assert [folder.name for folder in parcel.calls] == ["0000"]
    assert [part.name for part in parcel.folder.iterdir() if part.name.startswith(".")] == []


def test_a_parcel_is_sealed_at_last_and_not_before(outbox):
    parcel = outbox.parcel(head())
    assert parcel.seal is None
    parcel.close(Seal("completed", "", 9))
    assert outbox.find("k1").seal == Seal("completed", "", 9)
    assert outbox.parcel(head()).folder == parcel.folder


def test_an_address_is_kept_without_its_password(outbox):
    assert outbox.parcel(head()).head.address == "http://host:5000"
    assert "secret" not in "".join(file.read_text() for file in outbox.home.rglob("*.json"))


def test_fold_runs_are_delivered_before_the_runs_above_them_the_oldest_first(outbox):
    for key, level, started in (("e", "experiment", 1), ("b", "backbone", 2), ("f2", "fold", 4), ("f1", "fold", 3)):
        outbox.parcel(head(key, level, started))
    assert [parcel.folder.name for parcel in in_order(outbox.parcels())] == ["f1", "f2", "b", "e"]


def test_a_parcel_of_a_process_that_was_killed_before_it_was_whole_is_given_up_and_no_other(outbox):
    dead = this_process().rpartition(":")[0].rpartition(":")[0] + ":999999999:5.00"
    assert is_abandoned(outbox.parcel(head("dead", by=dead)))
    assert not is_abandoned(outbox.parcel(head("mine")))
    whole = outbox.parcel(head("whole", by=dead))
    whole.close(Seal("completed", "", 9))
    assert not is_abandoned(whole)


def test_clearing_the_cache_leaves_what_waits(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path))
    Outbox().parcel(head()).add(TextFile("a", "a.txt"))
    clear_cache()
    assert len(Outbox().find("k1").calls) == 1


def test_what_another_process_removes_meanwhile_is_not_there(outbox, monkeypatch):
    dead = this_process().rpartition(":")[0].rpartition(":")[0] + ":999999999:5.00"
    outbox.parcel(head("kept"))
    seen = outbox.parcel(head("gone", by=dead))
    assert is_abandoned(seen)
    assert seen.head.key == "gone"

    class Removed(Parcel):
        def __init__(self, folder):
            super().__init__(folder)
            if folder.name == "gone":
                Parcel(folder).remove()

    monkeypatch.setattr("tasks.tracking.outbox.Parcel", Removed)
    assert [parcel.folder.name for parcel in outbox.parcels()] == ["kept"]
    assert not is_abandoned(seen)
    seen.remove()
    assert seen.bytes() == 0


def test_who_needs_what_another_process_delivers_waits_for_it(outbox):
    parcel = outbox.parcel(head())
    parcel.close(Seal("completed", "", 9))
    held = hold_existing(parcel.folder / HEAD, alone=True)

    def delivered():
        parcel.remove()
        os.close(held)

    assert deliver(None, parcel) is None
    assert parcel.folder.exists()
    timer = threading.Timer(0.3, delivered)
    timer.start()
    assert deliver(None, parcel, wait=True) is None
    assert not parcel.folder.exists()
    timer.join()


def test_what_is_removed_is_gone(outbox):
    parcel = outbox.parcel(head())
    parcel.add(TextFile("a", "a.txt"))
    parcel.remove()
    assert outbox.parcels() == []
    assert list(outbox.home.iterdir()) == []

from __future__ import annotations

import os
import tempfile
import time

from tasks.upkeep.leftovers import LOCK, SCRATCH, leftovers
from tasks.upkeep.unused import unused
from tasks.workers.claims import claimed, claims_home
from tasks.workers.scratch import Scratch

LONG_AGO = 2 * 3600


def found(home, what):
    return [left for left in leftovers(home, lambda _: False) if left.what == what]


def aged(path):
    os.utime(path, (time.time() - LONG_AGO,) * 2)
    return path


def test_a_lock_that_is_taken_after_it_was_found_stays(tmp_path):
    with claimed(tmp_path, "x", alone=False):
        pass
    [lock] = claims_home(tmp_path).iterdir()
    [left] = found(tmp_path, LOCK) if aged(lock) else []
    with claimed(tmp_path, "x"):
        left.go()
        assert lock.exists()
    with claimed(tmp_path, "x", alone=False):
        pass
    left.go()
    assert not lock.exists()


def test_a_scratch_folder_stays_as_long_as_its_process_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch()
    dead = tmp_path / "foldcam-workers-dead"
    dead.mkdir()
    for folder in (scratch.folder, dead):
        aged(folder)
    assert [left.path for left in found(tmp_path, SCRATCH)] == [dead]
    scratch.remove()


def test_a_stray_file_among_the_states_is_not_asked_about_in_the_record(tmp_path):
    (tmp_path / "fits").mkdir()
    for name in ("0a1b", "a'b", "copy of 0a1b"):
        (tmp_path / "fits" / f"{name}.npz").touch()
    asked = []
    leftovers(tmp_path, asked.append)
    assert asked == ["0a1b"]


def test_a_link_is_never_followed(tmp_path, monkeypatch):
    precious, home, shared = (tmp_path / name for name in ("precious", "home", "shared"))
    for folder in (precious, home / "artifacts", home / "plans", home / "arrays", shared):
        folder.mkdir(parents=True)
    kept = precious / "data.txt"
    kept.write_text("kept")
    for link in (
        home / "artifacts" / "run",
        home / "plans" / ".part",
        shared / "foldcam-workers-x",
        shared / "foldcam-x",
    ):
        link.symlink_to(precious)
    (home / "arrays" / "x.tmp").symlink_to(kept)
    for path in (precious, kept):
        os.utime(path, (1, 1))
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    found = [*leftovers(home, lambda _: False), *unused(home, time.time() + 1e9, 0)]
    assert {left.path.parent.name for left in found} >= {"artifacts", "plans", "arrays"}
    for left in found:
        left.go()
    assert kept.read_text() == "kept"

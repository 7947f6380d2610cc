from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

import psutil
import pytest

from flows.notes import Note, ending, held, note_for, notes_in
from tests.support.processes import until


@pytest.fixture
def note():
    """A note of this process, as if it kept a server."""
    return Note("http://127.0.0.1:1/api", os.getpid(), psutil.Process().create_time(), "3.8.8", "digest")


@pytest.fixture
def file(tmp_path, note):
    place = note_for(tmp_path / "new home", 4321)
    note.write(place)
    return place


def test_a_note_is_read_as_it_was_written_and_stands_alone_in_its_folder(file, note):
    with held(file) as read:
        assert read == note
    assert notes_in(file.parent) == [file]
    assert list(file.parent.iterdir()) == [file]
    assert file.stat().st_mode & 0o077 == 0


def test_several_may_use_a_server_at_once_and_none_may_end_it_meanwhile(file):
    with held(file) as first, held(file) as second:
        assert first == second is not None
        with ending(file) as free:
            assert not free
        assert file.exists()
    with ending(file) as free:
        assert free
    assert not file.exists()


def test_a_server_that_is_being_ended_is_not_found(file):
    with ending(file) as free:
        assert free
        with held(file) as note:
            assert note is None
    with held(file) as note:
        assert note is None


def test_whoever_waits_for_the_end_begins_when_the_last_user_has_gone(file):
    code = "import sys, time; from pathlib import Path; from flows.notes import ending\n"
    code += "with ending(Path(sys.argv[1]), wait=True) as free: print(free, time.time(), flush=True)"
    with ExitStack() as users:
        for _ in range(2):
            users.enter_context(held(file))
        waiting = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        assert waiting.poll() is None
        left = time.time()
    out, _ = waiting.communicate(timeout=240)
    free, began = out.split()
    assert free == "True"
    assert float(began) >= left


def test_a_user_that_is_killed_no_longer_counts(file):
    code = "import sys, time; from pathlib import Path; from flows.notes import held\n"
    code += "with held(Path(sys.argv[1])) as note: print(note, flush=True); time.sleep(60)"
    user = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    with user.stdout:
        assert user.stdout.readline().startswith("Note(")
        assert not is_free(file)
        user.kill()
        user.wait()
    until(lambda: is_free(file), 5, "the lock")


def is_free(file):
    """Tell whether nobody uses the server, without taking its note away."""
    kept = file.read_bytes()
    with ending(file) as free:
        pass
    if free:
        file.write_bytes(kept)
    return free


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"started": 1.0}])
def test_the_note_of_a_process_that_is_gone_is_removed_even_if_its_number_is_another_ones_now(file, note, change):
    replace(note, **change).write(file)
    with held(file) as read:
        assert read is None
    assert notes_in(file.parent) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "http://127.0.0.1:1/api"}', '"text"'])
def test_a_file_that_is_no_note_is_passed_over(file, content):
    file.write_text(content)
    with held(file) as read:
        assert read is None


def test_only_notes_of_this_machine_count(file, note):
    note.write(file.with_name("foldcam-server-elsewhere-4321.json"))
    assert notes_in(file.parent) == [file]


def test_where_there_is_no_note_nobody_uses_the_server(tmp_path):
    with ending(tmp_path / "none.json") as free:
        assert free
    with held(tmp_path / "none.json") as note:
        assert note is None

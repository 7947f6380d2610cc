from __future__ import annotations

import pytest

from tasks.config import InputError
from tasks.explanation.out_folder import UNFINISHED, check_out, whole_or_nothing


def write(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text("a", encoding="utf-8")
    (folder / "b.txt").write_text("b", encoding="utf-8")


def write_and_stop(folder):
    write(folder)
    raise KeyboardInterrupt


@pytest.mark.parametrize("there", [False, True])
def test_what_is_written_stands_in_the_folder_and_nothing_else(tmp_path, there):
    out = tmp_path / "x" / "out"
    if there:
        out.mkdir(parents=True)
    with whole_or_nothing(out) as folder:
        write(folder)
        assert not (out / "b.txt").exists()
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == ["b.txt", "deep", "deep/a.txt"]


@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_the_place_as_it_was(tmp_path, there):
    out = tmp_path / "x" / "out"
    if there:
        out.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt), whole_or_nothing(out) as folder:
        write_and_stop(folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_killed_call_has_left_does_not_stand_in_the_way(tmp_path):
    (tmp_path / f"{UNFINISHED}-killed").mkdir()
    (tmp_path / f"{UNFINISHED}-killed" / "half.txt").touch()
    with whole_or_nothing(tmp_path) as folder:
        write(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt", "deep"]


def test_two_calls_do_not_write_into_one_folder(tmp_path):
    with whole_or_nothing(tmp_path) as folder:
        write(folder)
        with pytest.raises(InputError, match="another command is writing"), whole_or_nothing(tmp_path):
            pass
        with pytest.raises(InputError, match="another command is writing"):
            check_out(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt", "deep"]


def write_beside(folder):
    write(folder)
    (folder.parent / "mine.txt").touch()


def test_what_is_put_into_the_folder_meanwhile_is_kept_alone(tmp_path):
    with pytest.raises(InputError, match=r"not any more \(mine\.txt\)"), whole_or_nothing(tmp_path) as folder:
        write_beside(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_folder_itself_is_never_replaced(tmp_path):
    before = tmp_path.stat().st_ino
    with whole_or_nothing(tmp_path) as folder:
        write(folder)
    assert tmp_path.stat().st_ino == before


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match=r"not empty \(mine\.txt\)"), whole_or_nothing(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_and_a_path_below_a_file_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        check_out(tmp_path / "file")
    with pytest.raises(InputError), whole_or_nothing(tmp_path / "file" / "out"):
        pass
    assert (tmp_path / "file").is_file()

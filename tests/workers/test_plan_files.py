from __future__ import annotations

import errno

import pytest

from tasks.config import InputError
from tasks.workers.plan_files import Damaged, are_whole, check_tables, write_tables


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "plan"
    writers = {name: lambda path, name=name: path.write_bytes(name.encode() * 50) for name in ("a.csv", "b.csv")}
    return folder, write_tables(folder, writers)


DAMAGES = {
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "a flipped bit": lambda file: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:]),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_refused(written, damage):
    folder, digests = written
    check_tables(folder, digests)
    assert are_whole(folder, digests)
    DAMAGES[damage](folder / "b.csv")
    assert not are_whole(folder, digests)
    with pytest.raises(Damaged, match=r"b\.csv"):
        check_tables(folder, digests)


def test_what_was_never_written_is_not_whole(tmp_path):
    assert not are_whole(tmp_path, {})


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path):
    def write(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"No space left on device.*FOLDCAM_HOME"):
        write_tables(tmp_path / "plan", {"a.csv": write})
    assert list((tmp_path / "plan").iterdir()) == []

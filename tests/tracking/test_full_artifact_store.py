from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tasks.tracking.calls import Upload
from tests.support.small_disk import small_disk


@pytest.fixture
def folder(tmp_path):
    """Four files of 12 kB, one of them a folder deeper."""
    made = tmp_path / "plots"
    (made / "per class").mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png", "per class/d.png"):
        (made / name).write_bytes(name[0].encode() * 12_000)
    return made


def test_a_folder_that_a_full_disk_has_no_room_for_leaves_whole_files_alone(client, run_id, folder):
    place = Path(urlsplit(client.get_run(run_id).info.artifact_uri).path)
    with small_disk(place, 32):
        with pytest.raises(OSError, match="No space left"):
            Upload(folder).send(client, run_id, None)
        left = [file for file in place.rglob("*") if file.is_file()]
        assert left
        assert {file.stat().st_size for file in left} == {12_000}


def test_a_folder_is_put_where_it_belongs_with_what_lies_deeper(client, run_id, folder):
    Upload(folder, "figures").send(client, run_id, None)
    there = Path(client.download_artifacts(run_id, "figures"))
    assert {file.relative_to(there).as_posix(): file.read_bytes()[:1] for file in there.rglob("*.png")} == {
        "a.png": b"a",
        "b.png": b"b",
        "c.png": b"c",
        "per class/d.png": b"p",
    }

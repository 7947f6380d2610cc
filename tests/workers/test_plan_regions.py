from __future__ import annotations

import shutil

import pytest

from tasks.config import InputError


@pytest.fixture
def boxes(tmp_path):
    def write(name, *rows):
        (tmp_path / name).write_text("\n".join(["image,x_min,y_min,x_max,y_max", *rows]))
        return tmp_path / name

    return write


def test_fold_runs_depend_on_what_regions_say_and_not_on_where_they_lie(planned, images, tmp_path, boxes):
    def plan(regions=None):
        return planned(images, tmp_path / "cache", data={"path": str(images), "regions": regions})

    first = boxes("first.csv", "across/000.png,1,2,10,12")
    bare, given = plan(), plan(str(first))
    moved = plan(str(shutil.copy(first, tmp_path / "moved.csv")))
    other = plan(str(boxes("other.csv", "across/000.png,1,2,10,13")))
    assert len({bare.fingerprint, given.fingerprint, other.fingerprint}) == 3
    assert not set(bare.fingerprints.values()) & set(given.fingerprints.values())
    assert not set(other.fingerprints.values()) & set(given.fingerprints.values())
    assert (moved.fingerprints, moved.fingerprint) == (given.fingerprints, given.fingerprint)


def test_regions_that_cannot_be_used_stop_the_plan(planned, images, tmp_path, boxes):
    for path, said in ((tmp_path / "nowhere", "no folder"), (boxes("out.csv", "across/000.png,90,2,95,12"), "outside")):
        with pytest.raises(InputError, match=said):
            planned(images, tmp_path / "cache", data={"path": str(images), "regions": str(path)})

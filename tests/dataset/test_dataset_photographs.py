from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tasks.config import Data, InputError
from tasks.dataset.photographs import read_photographs


@pytest.fixture
def folder(tmp_path):
    for name, value in (("b.png", 10), ("a/NA.jpg", 200), ("a/é 1.webp", 90)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def read(folder, **settings):
    return read_photographs(Data(path=folder, labels={"kind": "none"}, **settings))


def test_every_image_below_the_folder_is_a_photograph(folder):
    found = read(folder)
    assert found.paths == ["a/NA.jpg", "a/é 1.webp", "b.png"]
    assert found.table[["width", "height"]].to_numpy().tolist() == [[6, 4]] * 3
    assert found.open(2).tolist() == np.full((4, 6, 3), 10).tolist()


def test_the_digest_is_that_of_names_and_pixels(folder):
    before = read(folder).digest
    assert read(folder).digest == before
    (folder / "b.png").rename(folder / "c.png")
    renamed = read(folder).digest
    Image.fromarray(np.full((4, 6, 3), 11, np.uint8)).save(folder / "c.png")
    assert len({before, renamed, read(folder).digest}) == 3


def test_what_cannot_be_read_stops_or_is_left_out_by_setting(folder):
    (folder / "cut.jpg").write_bytes((folder / "a/NA.jpg").read_bytes()[:200])
    with pytest.raises(InputError, match=r"1 of 4 images .*cut\.jpg .*data\.on_corrupt: skip"):
        read(folder)
    found = read(folder, on_corrupt="skip")
    assert len(found.paths) == 3
    assert [path for path, _ in found.rejected] == ["cut.jpg"]


def test_a_folder_without_an_image_or_with_none_that_can_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no image"):
        read(tmp_path)
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(InputError, match=r"1 of 1 image .*Mend or remove them\."):
        read(tmp_path, on_corrupt="skip")


def test_a_photograph_that_changes_or_goes_after_it_was_read_is_named(folder):
    found = read(folder)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / "b.png")
    with pytest.raises(InputError, match=r"b\.png has changed"):
        found.open(2)
    (folder / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png could be read before and cannot be now"):
        found.open(2)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.config import InputError
from tasks.dataset.asked_images import check_images, find_images
from tests.support.images import picture, write_classes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_classes(tmp_path / "data", {"a": 2, "b": 1})
    Image.fromarray(picture(0, 9)).save(tmp_path / "alone.bmp")
    np.save(tmp_path / "rows.npy", np.stack([picture(1, seed) for seed in range(3)]))
    (tmp_path / "data" / "notes.txt").write_text("no image", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*asked):
    return [(image.path, image.name) for image in find_images(asked)]


def test_a_folder_gives_all_images_below_it_by_their_paths(folder):
    expected = [("data/a/000.png", "a/000.png"), ("data/a/001.png", "a/001.png"), ("data/b/000.png", "b/000.png")]
    assert names("data") == expected
    assert names(Path("data")) == names("data/") == expected
    assert [path for path, _ in names(folder / "data")] == [str(folder / path) for path, _ in expected]


def test_files_and_folders_come_in_the_order_given_and_each_image_once(folder):
    found = names("data/b", "alone.bmp", "data", "./data/a/001.png")
    assert [path for path, _ in found] == ["data/b/000.png", "alone.bmp", "data/a/000.png", "data/a/001.png"]
    assert [name for _, name in found] == [path for path, _ in found]


def test_one_file_is_called_by_its_name_alone(folder):
    assert names(folder / "data" / "a" / "000.png") == [(str(folder / "data" / "a" / "000.png"), "000.png")]


def test_files_of_one_name_are_told_apart_by_their_folders(folder):
    assert [name for _, name in names("data/a/000.png", "data/b/000.png")] == ["a/000.png", "b/000.png"]


def test_a_row_of_an_array_is_an_image(folder):
    [image] = find_images(["rows.npy#2"])
    np.testing.assert_array_equal(image.open(), picture(1, 2))


def test_an_image_that_is_gone_by_the_time_it_is_opened_is_named(folder):
    [image] = find_images(["alone.bmp"])
    (folder / "alone.bmp").unlink()
    with pytest.raises(InputError, match=r"alone\.bmp could be read before"):
        image.open()


def test_all_images_that_cannot_be_read_are_named_at_once(folder):
    (folder / "data" / "a" / "bad.png").write_bytes(b"\x89PNG\r\n")
    (folder / "data" / "b" / "worse.jpg").touch()
    with pytest.raises(InputError, match=r"2 of 5 images .*bad\.png.*worse\.jpg \(the file is empty\)"):
        check_images(find_images(["data"]))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], "No image is named"),
        (["dat"], "the nearest name there is"),
        (["rows.npy"], "rows.npy#0"),
        (["nowhere.npy#1"], "no image nowhere.npy#1"),
        (["a\0b.png"], "no image a.x00b.png"),
        (["x" * 5000], "cannot be opened"),
    ],
)
def test_what_is_no_image_is_refused(folder, asked, told):
    with pytest.raises(InputError, match=told):
        find_images(asked)

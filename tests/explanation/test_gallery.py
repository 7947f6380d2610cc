import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.config import InputError
from tasks.dataset.pixels.shaping import Shaping, lay_back, masked
from tasks.explanation.gallery import choose_images, unique_names, write_overlays
from tasks.explanation.maps import normalise
from tasks.explanation.overlays import overlay

LABELS = np.array([0] * 900 + [1] * 90 + [2] * 10)


def test_the_choice_is_fixed_and_follows_the_class_counts():
    chosen = choose_images(LABELS, 100, seed=3)
    assert np.bincount(LABELS[chosen]).tolist() == [90, 9, 1]
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, choose_images(LABELS, 100, seed=3))
    assert not np.array_equal(chosen, choose_images(LABELS, 100, seed=4))


def test_every_class_is_shown_while_there_is_room():
    assert np.bincount(LABELS[choose_images(LABELS, 12, seed=0)]).tolist() == [10, 1, 1]
    assert set(LABELS[choose_images(LABELS, 3, seed=0)]) == {0, 1, 2}
    assert LABELS[choose_images(LABELS, 1, seed=0)].tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=80), st.integers(0, 90), st.integers(0, 3))
def test_a_choice_is_a_part_of_every_larger_one(labels, most, seed):
    labels = np.array(labels)
    chosen = choose_images(labels, most, seed)
    assert len(chosen) == len(set(chosen.tolist())) == min(most, len(labels))
    assert set(chosen.tolist()) <= set(choose_images(labels, most + 5, seed).tolist())


def test_all_images_without_a_limit():
    np.testing.assert_array_equal(choose_images(LABELS, None, 0), np.arange(1000))
    assert len(choose_images(LABELS, 5000, 0)) == 1000
    assert len(choose_images(LABELS, 0, 0)) == 0


def test_as_many_groups_as_possible_are_shown():
    groups = np.repeat([f"patient {i}" for i in range(10)], 10)
    labels = np.repeat(["a", "b"], 50)
    chosen = choose_images(labels, 10, 0, groups)
    assert len(set(groups[chosen])) == 10


def test_images_of_one_name_in_two_folders_are_told_apart():
    paths = ["a/1.png", "b/1.png", "Größe/Käfer 2.jpeg", "日本/猫.bmp"]
    names = unique_names(paths)
    assert names == ["a__1.png", "b__1.png", "Größe__Käfer 2.png", "日本__猫.png"]
    assert unique_names(paths, ".jpg") == ["a__1.jpg", "b__1.jpg", "Größe__Käfer 2.jpg", "日本__猫.jpg"]


@pytest.mark.parametrize(
    "paths",
    [
        ["a/1.png", "a/1.jpg"],
        ["a/B.png", "A/b.png"],
        ["a/b__1.png", "a__b/1.png"],
        ["x?.png", "x*.png", "x_.png"],
        ["e\u0301.png", "\u00e9.png"],
        ["straße.png", "STRASSE.png"],
        ["n" * 300 + "1.png", "n" * 300 + "1.jpg", "m" + "n" * 300 + "1.png"],
        ["same.png", "same.png"],
        ["", ".", "..", "/", " ", "..."],
    ],
)
def test_names_that_some_file_system_takes_for_one_are_told_apart(paths):
    assert len({name.casefold() for name in unique_names(paths)}) == len(paths)


def test_a_name_depends_on_its_clashes_not_on_the_order():
    paths = ["a/1.png", "a/1.jpg", "c/2.png"]
    assert unique_names(paths[::-1]) == unique_names(paths)[::-1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=150), max_size=6))
def test_any_path_gives_a_name_that_every_file_system_takes(paths):
    names = unique_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    for name in names:
        assert name.endswith(".png")
        assert not set(name) & set('/\\:*?"<>|%#\0\n')
        assert name[0] not in ". "
        assert name[-5] not in " ."
        assert len(name.encode()) <= 255
        assert name.split(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}


def test_reserved_names_are_changed():
    assert unique_names(["con.png", "Aux.jpg", "com1.tar.png", "console.png"]) == [
        "_con.png",
        "_Aux.png",
        "_com1.tar.png",
        "console.png",
    ]


def test_overlays_are_written_at_the_size_of_each_picture(tmp_path):
    rng = np.random.default_rng(0)
    sizes = [(25, 25), (60, 40), (300, 500), (3, 200)]
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    maps = normalise(rng.random((4, 5, 5)))
    names = unique_names(["a/1.png", "b/1.png", "ö ä.jpg", "d.png"])
    files = write_overlays(tmp_path, iter(images), maps, names, [True, False, True, False], alpha=0.3, colormap="jet")
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "right/a__1.png",
        "wrong/b__1.png",
        "right/ö ä.png",
        "wrong/d.png",
    ]
    assert len(list(tmp_path.rglob("*.png"))) == 4
    for file, image, heat in zip(files, images, maps, strict=True):
        expected = overlay(image, lay_back(heat, *image.shape[:2]), 0.3, "jet")
        np.testing.assert_array_equal(np.asarray(Image.open(file)), expected)


def test_maps_lie_where_the_network_saw_the_picture_and_masks_are_drawn(tmp_path):
    how = Shaping(resize="crop", mask="circle")
    image, heat = np.full((20, 60, 3), 200, np.uint8), np.ones((4, 4), np.float32)
    [file] = write_overlays(tmp_path, [image], [heat], ["a.png"], [True], how=how, alpha=0.5, colormap="jet")
    found = np.asarray(Image.open(file))
    np.testing.assert_array_equal(found, overlay(masked(image, how), lay_back(heat, 20, 60, how), 0.5, "jet"))
    beyond, within = found[:, :20].reshape(-1, 3), found[8:12, 28:32].reshape(-1, 3)
    assert (beyond == beyond[0]).all()
    assert not (within == beyond[0]).all(axis=1).any()


def test_pictures_are_taken_a_few_at_a_time(tmp_path):
    taken, most = [], []
    lock = threading.Lock()

    def pictures():
        for number in range(60):
            with lock:
                taken.append(number)
                most.append(len(taken) - len(list(tmp_path.rglob("*.png"))))
            yield np.zeros((4, 4, 3), np.uint8)

    write_overlays(tmp_path, pictures(), np.zeros((60, 2, 2)), [f"{i}.png" for i in range(60)], [True] * 60, workers=2)
    assert len(list((tmp_path / "right").iterdir())) == 60
    assert max(most) <= 8


def test_faults_are_told_before_or_while_writing(tmp_path):
    picture, heat = np.zeros((4, 4, 3), np.uint8), np.zeros((2, 2))
    with pytest.raises(InputError, match="colour map"):
        write_overlays(tmp_path, [picture], [heat], ["a.png"], [True], colormap="none such")
    with pytest.raises(ValueError):
        write_overlays(tmp_path, [picture], [heat], ["a.png"], [True, False])
    with pytest.raises(ValueError):
        write_overlays(tmp_path, [picture, picture], [heat], ["a.png"], [True])
    with pytest.raises(ValueError, match="expected a uint8 picture"):
        write_overlays(tmp_path, [picture.astype(float)], [heat], ["a.png"], [True])


def test_overlays_are_jpeg_files_where_the_names_say_so(tmp_path):
    rows, columns = np.mgrid[:64, :48]
    image = np.stack([rows * 3, columns * 4, rows + columns], axis=-1).astype(np.uint8)
    heat = normalise(np.random.default_rng(0).random((1, 4, 4)))
    [file] = write_overlays(tmp_path, [image], heat, unique_names(["a/1.png"], ".jpg"), [True])
    assert file == tmp_path / "right" / "a__1.jpg"
    with Image.open(file) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (48, 64), "RGB")
        off = np.abs(np.asarray(picture).astype(int) - overlay(image, lay_back(heat[0], 64, 48)))
    assert 0 < off.mean() < 2

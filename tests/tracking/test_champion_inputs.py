from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.dataset.pixels import decoding
from tasks.tracking.champion_inputs import pixels_of, rows_of

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)


def png(array=PICTURE, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", **options)
    return file.getvalue()


TEXT = base64.b64encode(png()).decode()


def read(entry, **options):
    return pixels_of(entry, decoding, (0, 0, 0), **options)


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame({"image": [png(), png()], "name": ["a", "b"]}),
        pd.DataFrame({"picture": [png(), png()]}),
        pd.Series([png(), png()]),
        {"image": [png(), png()]},
        [png(), png()],
        [TEXT, TEXT],
        [{"image": TEXT}, {"image": TEXT}],
        np.array([TEXT, TEXT]),
        np.array([png(), png()], dtype=object),
        np.stack([PICTURE, PICTURE]),
        np.stack([PICTURE, PICTURE]).tolist(),
        [PICTURE, PICTURE],
        pd.DataFrame({"image": [PICTURE, PICTURE]}),
        pd.DataFrame({"image": [PICTURE.tolist(), PICTURE.tolist()]}),
        {"image": np.stack([PICTURE, PICTURE])},
    ],
    ids=lambda given: type(given).__name__,
)
def test_two_images_in_any_form_are_two_rows_with_the_same_pixels(given):
    rows = rows_of(given)
    assert len(rows) == 2
    for row in rows:
        np.testing.assert_array_equal(read(row), PICTURE)


@pytest.mark.parametrize("given", [png(), TEXT, PICTURE, PICTURE.tolist(), PICTURE[..., :1], PICTURE[..., 0]])
def test_one_image_is_one_row(given):
    assert len(rows_of(given)) == 1


def test_lists_of_pictures_of_several_sizes_stay_apart():
    rows = rows_of([PICTURE.tolist(), PICTURE[:5].tolist()])
    assert [read(row).shape for row in rows] == [(12, 9, 3), (5, 9, 3)]


def test_a_batch_of_grey_pictures_is_told_by_its_last_axis():
    assert len(rows_of(np.zeros((7, 12, 9), np.uint8))) == 7
    assert len(rows_of(np.zeros((7, 12, 4), np.uint8))) == 1


def test_nothing_gives_no_row():
    assert rows_of([]) == []
    assert rows_of(pd.DataFrame({"image": []})) == []
    assert rows_of(np.zeros((0, 4, 4, 3), np.uint8)) == []


def test_a_path_is_read_but_not_by_a_server(tmp_path):
    file = tmp_path / "x.png"
    file.write_bytes(png())
    np.testing.assert_array_equal(read(str(file)), PICTURE)
    np.testing.assert_array_equal(read(file), PICTURE)
    for entry in (str(file), file):
        with pytest.raises(ValueError, match="served model"):
            read(entry, may_read_files=False)


@pytest.mark.parametrize("text", [TEXT, f"data:image/png;base64,{TEXT}", TEXT.rstrip("="), f"{TEXT[:20]}\n{TEXT[20:]}"])
def test_base64_is_read_with_and_without_its_trimmings(text):
    np.testing.assert_array_equal(read(text), PICTURE)


@pytest.mark.parametrize("alphabet", [str.maketrans("+/", "-_")])
def test_base64_for_addresses_is_read(alphabet):
    np.testing.assert_array_equal(read(TEXT.translate(alphabet)), PICTURE)


def test_arrays_become_8_bits_by_the_rules_of_training():
    grey = PICTURE[..., 0]
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read(grey.astype(np.uint16) << 8), expected)
    np.testing.assert_array_equal(read(grey.astype(np.int64)), expected)
    np.testing.assert_array_equal(read(grey / 255), expected)
    np.testing.assert_array_equal(read(grey > 255), np.zeros_like(expected))


def test_transparency_is_laid_on_the_ground():
    clear = np.dstack([PICTURE, np.zeros((12, 9), np.uint8)])
    for entry in (clear, png(clear)):
        assert (pixels_of(entry, decoding, (9, 8, 7)) == (9, 8, 7)).all()


def test_a_picture_is_turned_as_its_metadata_say():
    exif = Image.Exif()
    exif[274] = 6
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "PNG", exif=exif)
    np.testing.assert_array_equal(read(file.getvalue()), np.rot90(PICTURE, -1))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (b"no image at all", "not an image"),
        (b"", "empty"),
        (png()[:60], "truncated|damaged|cut"),
        ("nowhere/x.png", "neither base64 nor a file"),
        ("Öl", "neither base64 nor a file"),
        ("data:image/png,abc", "no base64"),
        ("data:image/png;base64,***", "damaged"),
        (base64.b64encode(b"text").decode(), "not an image"),
        (None, "no image"),
        (float("nan"), "no image"),
        (7, "int is no image"),
        (np.zeros((3, 3, 2)), "no image"),
        (np.zeros((0, 3, 3)), "no pixels"),
        (np.full((3, 3), 3.5), "0 to 1"),
        (np.full((3, 3), -1), "0 to 255"),
        (np.array([["a", "b"]]), "no image"),
        ([[1, 2], [3]], "differ in length"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(entry, why):
    with pytest.raises(ValueError, match=why):
        read(entry)


@pytest.mark.parametrize(
    "given", [pd.DataFrame({"a": [1], "b": [2]}), {"picture": []}, np.zeros((2, 2, 2, 2, 2)), np.zeros(5)]
)
def test_what_holds_no_images_is_refused(given):
    with pytest.raises(ValueError, match="wanted"):
        rows_of(given)

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tasks.dataset.pixels import shaping
from tasks.dataset.pixels.shaping import Shaping, lay_back, masked, shape
from tests.support.corpus import picture

RESIZES = ("stretch", "pad", "crop")
CIRCLE = Shaping(mask="circle")

sides = st.integers(1, 40)
ways = st.builds(
    Shaping,
    resize=st.sampled_from(RESIZES),
    pad_color=st.tuples(*[st.integers(0, 255)] * 3),
    mask=st.sampled_from(["none", "circle"]),
)


def thirds(height, width):
    """Red, green and blue, a third each, along the longer side."""
    longer = max(height, width)
    bands = np.eye(3, dtype=np.uint8)[np.arange(longer) * 3 // longer] * 255
    return np.repeat(bands[None], height, axis=0) if width == longer else np.repeat(bands[:, None], width, axis=1)


@given(height=sides, width=sides, size=st.integers(1, 24), how=ways)
def test_every_picture_becomes_a_square_and_stays_as_it_was(height, width, size, how):
    image = picture(0, width, height)
    before = image.copy()
    square = shape(image, size, how)
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


@given(side=sides, how=ways)
def test_a_square_of_the_size_already_is_only_masked(side, how):
    image = picture(1, side, side)
    np.testing.assert_array_equal(shape(image, side, how), masked(image, how))


def test_stretching_is_pillows_bilinear_filter():
    image = picture(2, 31, 17)
    expected = Image.fromarray(image).resize((12, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(shape(image, 12), expected)
    np.testing.assert_array_equal(shape(image, 12, Shaping("stretch", pad_color=(9, 9, 9))), expected)


@pytest.mark.parametrize(("height", "width"), [(30, 90), (90, 30)])
def test_stretch_shows_all_pad_shows_all_between_bars_and_crop_shows_the_middle(height, width):
    image = thirds(height, width)
    across = (lambda square: square) if width > height else (lambda square: square.transpose(1, 0, 2))
    stretched = across(shape(image, 30))
    assert [stretched[15, at].argmax() for at in (3, 15, 27)] == [0, 1, 2]
    padded = across(shape(image, 30, Shaping("pad", pad_color=(1, 2, 3))))
    assert (padded[:10] == (1, 2, 3)).all()
    assert (padded[20:] == (1, 2, 3)).all()
    assert [padded[15, at].argmax() for at in (3, 15, 27)] == [0, 1, 2]
    assert (padded[10:20].max(axis=2) > 100).all()
    cropped = across(shape(image, 30, Shaping("crop")))
    np.testing.assert_array_equal(cropped[15, 15], (0, 255, 0))
    assert (cropped[:, 1:-1].argmax(axis=2) == 1).all()


@given(height=sides, width=sides, size=st.integers(1, 24))
def test_what_pad_adds_is_as_much_on_both_sides_and_nothing_of_the_picture(height, width, size):
    square = shape(np.full((height, width, 3), 200, np.uint8), size, Shaping("pad", pad_color=(1, 2, 3)))
    bars = (square == (1, 2, 3)).all(axis=2)
    shown = (square == 200).all(axis=2)
    assert (bars ^ shown).all()
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    assert shown.sum() == len(rows) * len(columns)
    for places in (rows, columns):
        assert 0 <= (size - 1 - places[-1]) - places[0] <= 1
    longer = max(height, width)
    assert len(columns) == max(1, round(width * size / longer))
    assert len(rows) == max(1, round(height * size / longer))


@given(height=sides, width=sides)
@example(height=5, width=8)  # centres of pixels lie on the line itself
def test_the_circle_keeps_exactly_what_lies_within_half_the_shorter_side(height, width):
    kept = masked(np.full((height, width, 3), 7, np.uint8), CIRCLE)
    y, x = np.mgrid[:height, :width]
    twice_far_squared = (2 * y + 1 - height) ** 2 + (2 * x + 1 - width) ** 2
    np.testing.assert_array_equal((kept == 7).all(axis=2), twice_far_squared <= min(height, width) ** 2)
    assert set(np.unique(kept)) <= {0, 7}
    for turned in (kept[::-1], kept[:, ::-1]):
        np.testing.assert_array_equal(kept, turned)


def test_the_circle_is_drawn_on_the_picture_and_not_on_the_square():
    white = np.full((60, 120, 3), 255, np.uint8)
    for how, share in (("stretch", np.pi / 8), ("pad", np.pi / 16), ("crop", np.pi / 4)):
        lit = shape(white, 60, Shaping(how, mask="circle"))[:, :, 0] > 127
        assert lit.mean() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("how", [Shaping(resize="squash"), Shaping(mask="star")])
def test_unknown_steps_are_refused_with_those_there_are(how):
    with pytest.raises(ValueError, match=r"unknown .*'(squash|star)'; known: .*(crop|circle)"):
        shape(picture(0), 8, how)


@given(height=sides, width=sides, rows=st.integers(1, 9), resize=st.sampled_from(RESIZES))
def test_a_map_comes_back_at_the_pictures_size_and_within_its_range(height, width, rows, resize):
    heat = np.random.default_rng(rows).random((rows, rows))
    back = lay_back(heat, height, width, Shaping(resize))
    assert back.shape == (height, width)
    assert back.dtype == np.float32
    assert back.max() <= heat.max() + 1e-6
    assert back.min() >= 0


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (96, 96)])
def test_a_spot_is_laid_back_where_the_network_saw_it(resize, height, width):
    how = Shaping(resize)
    for y, x in ((height // 2, width // 2), (height // 2 - 20, width // 2 + 16), (height // 2 + 9, width // 2 - 23)):
        image = np.zeros((height, width, 3), np.uint8)
        image[y - 4 : y + 5, x - 4 : x + 5] = 255
        back = lay_back(shape(image, 48, how)[:, :, 0] / 255, height, width, how)
        found = np.array([(back * np.mgrid[:height, :width][axis]).sum() / back.sum() for axis in (0, 1)])
        assert abs(found - (y, x)).max() < 1


def test_where_crop_cut_the_picture_off_the_map_is_zero():
    back = lay_back(np.ones((7, 7)), 10, 30, Shaping("crop"))
    assert (back[:, 10:20] == 1).all()
    assert back.sum() == 100


def test_what_lies_on_the_bars_is_left_out():
    heat = np.zeros((9, 9))
    heat[:3], heat[6:] = 1, 1
    back = lay_back(heat, 10, 30, Shaping("pad"))
    assert back[5].max() < 0.1
    assert (lay_back(1 - heat, 10, 30, Shaping("pad"))[3:7] > 0.9).all()


def test_the_steps_survive_json():
    how = Shaping("pad", (1, 2, 3), "circle")
    back = Shaping(**json.loads(json.dumps(how._asdict())))
    image = picture(3, 20, 9)
    np.testing.assert_array_equal(shape(image, 8, back), shape(image, 8, how))


def test_the_file_alone_shapes_without_foldcam(tmp_path):
    (tmp_path / "shaping.py").write_bytes(Path(shaping.__file__).read_bytes())
    code = (
        "import sys, importlib.util as u, numpy as np\n"
        "spec = u.spec_from_file_location('foldcam_shaping', 'shaping.py')\n"
        "alone = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(alone)\n"
        "image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)\n"
        "print(alone.shape(image, 4, alone.Shaping('crop', mask='circle')).tolist())\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('tasks', 'flows')]\n"
    )
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    assert json.loads(done.stdout) == shape(image, 4, Shaping("crop", mask="circle")).tolist()

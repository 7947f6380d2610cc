from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tasks.comparison.report.inline import Room


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def photograph(side, seed=0):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int64)
    return np.clip(smooth + rng.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)


def opened(source):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")).astype(int)


def test_a_small_picture_stays_as_it_is():
    file = png(np.full((20, 30, 3), 7, dtype=np.uint8))
    taken = Room().take(file, "Grey.", sharpness=2)
    assert taken.source == f"data:image/png;base64,{base64.b64encode(file).decode()}"
    assert (taken.width, taken.height) == (15, 10)


def test_a_drawing_keeps_every_dot_and_a_photograph_its_look():
    pixels = photograph(320)
    exact, near = (opened(Room().take(png(pixels), "One.", drawn=drawn).source) for drawn in (True, False))
    assert (exact == pixels).all()
    assert 0 < np.abs(near - pixels).mean() < 6


def test_a_photograph_takes_less_room_than_its_file():
    file = png(photograph(320))
    assert len(Room().take(file, "One.").source) < len(file)


def test_what_is_beyond_the_room_is_left_out_and_says_where_it_lies():
    file = png(photograph(160))
    room = Room(int(2.5 * len(Room().take(file, "One.").source)))
    taken = [room.take(file, f"{n}", file=f"figures/{n}.png") for n in range(4)]
    assert [bool(own.source) for own in taken] == [True, True, False, False]
    assert taken[3].file == "figures/3.png"
    assert room.take(png(np.zeros((2, 2, 3), dtype=np.uint8)), "Small.").source


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_pictures_of_any_mode_are_taken(mode):
    file = io.BytesIO()
    Image.fromarray(photograph(320)).convert(mode).save(file, "PNG")
    assert Room().take(file.getvalue(), "One.").source


def test_a_picture_that_is_too_tall_for_webp_stays_png():
    pixels = np.random.default_rng(0).integers(0, 255, (17_000, 4, 3), dtype=np.uint8)
    assert Room().take(png(pixels), "Tall.").source.startswith("data:image/png")

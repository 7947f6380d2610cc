"""The figure of integrated gradients: four pictures that belong together, and whether the shares add up."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.dataset.pixels.shaping import STRETCHED, Shaping, shape
from tasks.explanation import integrated_figure as module
from tasks.explanation.integrated import Integrated, IntegratedGradients
from tasks.explanation.integrated_figure import completeness_note, integrated_figure
from tasks.explanation.overlays import colour_table
from tests.support.explained_nets import SHAPE, curved_net

SIZE = 16


def found_for(maps, difference=1.0, gap=0.01):
    maps = np.asarray(maps, np.float32)
    spread = np.repeat(maps[..., None] / 3, 3, axis=-1)
    n = len(maps)
    return Integrated(np.full((n, 2), 0.5, np.float32), spread, maps, np.full(n, difference), np.full(n, gap))


@pytest.fixture
def panels(monkeypatch):
    drawn = []
    real = module.panel_figure
    monkeypatch.setattr(module, "panel_figure", lambda own, **named: drawn.append((own, named)) or real(own, **named))
    return drawn


def quarter(value=1.0):
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[: SIZE // 2, : SIZE // 2] = value
    return heat


def picture(height=32, width=48):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def draw(image, heat, *, baseline="black", how=STRETCHED, **changes):
    found = changes.pop("found", None) or found_for([np.zeros_like(heat), heat])
    square = shape(image, SIZE, how)
    known = {"steps": 50, "title": "t", "label": "tabby", "side": 96}
    given = found.maps[1], float(found.differences[1]), float(found.gaps[1])
    return integrated_figure(image, square, *given, baseline=baseline, how=how, **{**known, **changes})


@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
def test_the_four_pictures_are_of_the_original_s_size_and_in_its_order(panels, resize):
    image = picture()
    draw(image, quarter(), how=Shaping(resize=resize))
    (own, _), titles = panels[0], ["Baseline", "Original", "Attribution", "Overlay"]
    assert [panel.title for panel in own] == titles
    assert {panel.picture.shape for panel in own} == {image.shape}
    np.testing.assert_array_equal(own[1].picture, image)


def test_the_attribution_has_the_colours_of_the_shares_for_the_class(panels):
    heat = quarter() - 2 * quarter()[::-1, ::-1]
    draw(picture(32, 32), heat, colormap="viridis")
    attribution = panels[0][0][2]
    low, high = colour_table("viridis")[[0, 255]]
    np.testing.assert_array_equal(attribution.picture[:14, :14], np.broadcast_to(high, (14, 14, 3)))
    np.testing.assert_array_equal(attribution.picture[18:, :], np.broadcast_to(low, (14, 32, 3)))
    assert attribution.note.startswith("67 % against the class")
    assert panels[0][1]["colormap"] == "viridis"


def test_the_overlay_is_the_original_under_the_attribution(panels):
    image = picture(32, 32)
    draw(image, quarter(), alpha=0.25)
    own = panels[0][0]
    expected = np.rint(0.75 * own[1].picture.astype(float) + 0.25 * own[2].picture)
    np.testing.assert_allclose(own[3].picture, expected, atol=1)


@pytest.mark.parametrize("baseline", ["black", "white", "mean", "blur"])
def test_the_baseline_is_shown_where_the_path_began(panels, baseline):
    image = picture(32, 32)
    draw(image, quarter(), baseline=baseline)
    shown = panels[0][0][0]
    assert shown.note == baseline
    if baseline in ("black", "white"):
        assert set(np.unique(shown.picture)) == {0 if baseline == "black" else 255}
    else:
        np.testing.assert_allclose(shown.picture.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=8)
        assert shown.picture.std() < image.std() / 2


def test_a_given_baseline_is_shown_itself(panels):
    given = np.zeros((SIZE, SIZE, 3))
    given[:, :, 1] = 200
    draw(picture(), quarter(), baseline=given)
    assert set(map(tuple, panels[0][0][0].picture.reshape(-1, 3))) == {(0, 200, 0)}
    assert panels[0][0][0].note == "given"


def test_what_the_mask_hides_is_black(panels):
    image = np.full((32, 32, 3), 200, np.uint8)
    draw(image, np.zeros((SIZE, SIZE)), how=Shaping(mask="circle"))
    original, overlay = panels[0][0][1].picture, panels[0][0][3].picture
    assert not original[0, 0].any()
    assert overlay[0, 0].max() < 10
    assert original[16, 16].tolist() == [200] * 3


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_shares_that_say_nothing_are_dark_and_told(panels, value):
    heat = np.full((SIZE, SIZE), value, np.float32)
    draw(picture(), heat, found=found_for([heat, heat]))
    told = panels[0][0][2].note
    assert told.startswith({0.0: "all shares are 0", -1.0: "100 % against"}.get(value, "not finite"))


def test_the_note_tells_steps_difference_and_gap_and_when_to_take_more_steps():
    told = [completeness_note(*given) for given in [(5.31, 0.0042, 50), (-0.1, 0.0, 1), (2.0, 0.05, 3)]]
    assert told == [
        "50 steps; the score rises by 5.31 from baseline to image; the shares miss that by 0.4 %",
        "1 step; the score falls by 0.1 from baseline to image; the shares miss that by less than 0.1 %",
        "3 steps; the score rises by 2 from baseline to image; the shares miss that by 5.0 %: take more steps",
    ]
    assert "nothing to share out" in completeness_note(0.0, np.inf, 50)
    assert "nothing to share out" in completeness_note(0.0, 0.0, 50)
    assert "mean nothing" in completeness_note(np.nan, np.nan, 50)


def test_what_integrated_gradients_give_is_drawn_with_its_own_gap(panels):
    model = curved_net()
    square = np.random.default_rng(3).integers(0, 256, SHAPE).astype(np.uint8)
    found = IntegratedGradients(model, baseline="white", steps=5).attributions(square[None], np.array([1]))
    given = found.maps[0], found.differences[0], found.gaps[0]
    figure = integrated_figure(square, square, *given, baseline="white", steps=5, title="t", label="b")
    assert panels[0][1]["note"] == completeness_note(found.differences[0], found.gaps[0], 5)
    assert figure.mode == "RGB"

import matplotlib
import numpy as np
import pytest

from tasks.config import InputError
from tasks.explanation.overlays import colour_table, overlay

pytestmark = pytest.mark.filterwarnings("error")
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)
HEAT = RNG.random((40, 30)).astype(np.float32)


@pytest.mark.parametrize("colormap", ["inferno", "jet", "viridis"])
@pytest.mark.parametrize("alpha", [0.4, 0.75])
def test_the_blend_is_the_formula(colormap, alpha):
    colours = matplotlib.colormaps[colormap](HEAT, bytes=True)[..., :3]
    exact = (1 - alpha) * IMAGE.astype(float) + alpha * colours
    found = overlay(IMAGE, HEAT, alpha, colormap)
    assert found.dtype == np.uint8
    assert np.abs(found - exact).max() <= 0.5 + 1e-4


def test_the_ends_of_alpha_are_the_picture_and_the_map():
    np.testing.assert_array_equal(overlay(IMAGE, HEAT, 0), IMAGE)
    np.testing.assert_array_equal(overlay(IMAGE, HEAT, 1), matplotlib.colormaps["inferno"](HEAT, bytes=True)[..., :3])


def test_the_picture_is_never_rescaled():
    pale = np.full((4, 4, 3), 100, np.uint8)
    alone = overlay(pale, np.zeros((4, 4)))
    pale[0] = 255
    beside = overlay(pale, np.zeros((4, 4)))
    np.testing.assert_array_equal(alone[1:], beside[1:])
    low = colour_table("inferno")[0]
    np.testing.assert_array_equal(alone[0, 0], np.rint(0.6 * 100 + 0.4 * low))
    np.testing.assert_array_equal(beside[0, 0], np.rint(0.6 * 255 + 0.4 * low))


def test_inputs_are_not_changed_and_heat_beyond_the_range_is_cut():
    image, heat = IMAGE.copy(), HEAT * 3 - 1
    kept = heat.copy()
    found = overlay(image, heat)
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(heat, kept)
    np.testing.assert_array_equal(found, overlay(image, np.clip(heat, 0, 1)))


def test_a_map_of_few_colours_is_read_as_matplotlib_reads_it():
    steps = (np.arange(256) + 0.5) / 256
    np.testing.assert_array_equal(colour_table("tab10"), matplotlib.colormaps["tab10"](steps, bytes=True)[:, :3])
    with pytest.raises(ValueError, match="read-only"):
        colour_table("tab10")[0] = 0


def test_an_unknown_colour_map_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="`viridis`"):
        overlay(IMAGE, HEAT, colormap="virids")


@pytest.mark.parametrize(
    ("image", "heat"), [(IMAGE.astype(float), HEAT), (IMAGE[..., 0], HEAT), (IMAGE, HEAT[:-1]), (IMAGE, HEAT[None])]
)
def test_pictures_that_do_not_fit_are_refused(image, heat):
    with pytest.raises(ValueError, match="expected a uint8 picture"):
        overlay(image, heat)

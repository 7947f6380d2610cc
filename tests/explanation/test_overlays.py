import matplotlib
import numpy as np
import pytest

from tasks.config import InputError
from tasks.dataset.pixels.shaping import lay_back
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


def test_a_ramp_stays_a_ramp_with_half_pixel_centres():
    across = lay_back(np.arange(5.0)[None].repeat(3, axis=0), 30, 50)
    expected = np.clip((np.arange(50) + 0.5) / 10 - 0.5, 0, 4)
    np.testing.assert_allclose(across, np.broadcast_to(expected, (30, 50)), atol=1e-5)
    down = lay_back(np.arange(3.0)[:, None], 9, 2)
    np.testing.assert_allclose(down[:, 0], np.clip((np.arange(9) + 0.5) / 3 - 0.5, 0, 2), atol=1e-6)


def test_edges_do_not_move():
    edge = lay_back(np.array([[0.0, 0.0, 1.0, 1.0]]), 1, 224)[0]
    np.testing.assert_allclose(edge, 1 - edge[::-1], atol=1e-6)
    assert (edge[:84] == 0).all()
    assert (edge[140:] == 1).all()


def test_the_bilinear_value_between_four_cells():
    heat = np.array([[0.0, 1.0], [2.0, 5.0]])
    found = lay_back(heat, 4, 4)
    assert found[1, 1] == pytest.approx(0.75 * 0.75 * 0 + 0.75 * 0.25 * (1 + 2) + 0.25 * 0.25 * 5)
    np.testing.assert_array_equal(found[[0, 0, -1, -1], [0, -1, 0, -1]], heat.ravel())


@pytest.mark.parametrize("size", [(1, 1), (3, 1000), (1000, 3), (7, 7)])
def test_any_size_keeps_the_range_and_is_float32(size):
    heat = np.random.default_rng(0).random((7, 7))
    found = lay_back(heat, *size)
    assert found.shape == size
    assert found.dtype == np.float32
    assert heat.min() - 1e-6 <= found.min() <= found.max() <= heat.max() + 1e-6
    if size == (7, 7):
        np.testing.assert_array_equal(found, heat.astype(np.float32))

import numpy as np
import pytest

from tasks.explanation.maps import BlankMaps, count_blank, normalise, upsample

pytestmark = pytest.mark.filterwarnings("error")


def test_each_map_is_divided_by_its_own_maximum():
    maps = np.array([[[1.0, 2.0], [-3.0, 4.0]], [[1e-30, 0.0], [0.0, 5e-31]]])
    np.testing.assert_allclose(normalise(maps), [[[0.25, 0.5], [0, 1]], [[1, 0], [0, 0.5]]], rtol=1e-6)
    assert normalise(maps).dtype == np.float32
    assert maps[0, 1, 0] == -3


def test_maps_that_show_nothing_become_zeros_and_are_counted():
    nothing, negative = np.zeros((2, 2)), -np.ones((2, 2))
    broken, endless = np.array([[np.nan, 1], [1, 1]]), np.array([[np.inf, 1], [-1, 1]])
    maps = np.stack([nothing, negative, broken, endless, np.eye(2)]).astype(np.float32)
    np.testing.assert_array_equal(normalise(maps), np.stack([nothing] * 4 + [np.eye(2)]))
    assert count_blank(maps) == BlankMaps(no_positive=2, not_finite=2)


def test_the_largest_and_smallest_numbers_do_not_overflow():
    maps = np.stack([np.full((2, 2), np.finfo(np.float32).max), np.full((2, 2), 1e-45)]).astype(np.float32)
    np.testing.assert_array_equal(normalise(maps), np.ones((2, 2, 2)))


def test_no_maps_are_no_maps():
    assert normalise(np.zeros((0, 7, 7), np.float32)).shape == (0, 7, 7)


def test_a_ramp_stays_a_ramp_with_half_pixel_centres():
    across = upsample(np.arange(5.0)[None].repeat(3, axis=0), 30, 50)
    expected = np.clip((np.arange(50) + 0.5) / 10 - 0.5, 0, 4)
    np.testing.assert_allclose(across, np.broadcast_to(expected, (30, 50)), atol=1e-5)
    down = upsample(np.arange(3.0)[:, None], 9, 2)
    np.testing.assert_allclose(down[:, 0], np.clip((np.arange(9) + 0.5) / 3 - 0.5, 0, 2), atol=1e-6)


def test_edges_do_not_move():
    edge = upsample(np.array([[0.0, 0.0, 1.0, 1.0]]), 1, 224)[0]
    np.testing.assert_allclose(edge, 1 - edge[::-1], atol=1e-6)
    assert (edge[:84] == 0).all()
    assert (edge[140:] == 1).all()


def test_the_bilinear_value_between_four_cells():
    heat = np.array([[0.0, 1.0], [2.0, 5.0]])
    found = upsample(heat, 4, 4)
    assert found[1, 1] == pytest.approx(0.75 * 0.75 * 0 + 0.75 * 0.25 * (1 + 2) + 0.25 * 0.25 * 5)
    np.testing.assert_array_equal(found[[0, 0, -1, -1], [0, -1, 0, -1]], heat.ravel())


@pytest.mark.parametrize("size", [(1, 1), (3, 1000), (1000, 3), (7, 7)])
def test_any_size_keeps_the_range_and_is_float32(size):
    heat = np.random.default_rng(0).random((7, 7))
    found = upsample(heat, *size)
    assert found.shape == size
    assert found.dtype == np.float32
    assert heat.min() - 1e-6 <= found.min() <= found.max() <= heat.max() + 1e-6
    if size == (7, 7):
        np.testing.assert_array_equal(found, heat.astype(np.float32))

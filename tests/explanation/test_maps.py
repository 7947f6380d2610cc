import numpy as np
import pytest

from tasks.explanation.maps import SAME_EVERYWHERE, SHOWS_NOTHING, BlankMaps, count_blank, normalise, remark

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


def test_colours_can_end_at_a_percentile_so_that_few_pixels_do_not_darken_the_rest():
    maps = np.zeros((3, 20, 20), np.float32)
    maps[0] = 1 + np.arange(400).reshape(20, 20) / 1000
    maps[0, 3, 4] = 1000
    maps[0, 5] = -4
    maps[1, 7, 7] = 3
    maps[2] = np.nan
    found = normalise(maps, 99)
    assert found[0, 3, 4] == found[0, 19, 19] == 1
    assert 0.5 < found[0, 0, 0] < 1
    assert not found[0, 5].any()
    np.testing.assert_array_equal(found[1], maps[1] / 3)
    assert not found[2].any()
    np.testing.assert_array_equal(normalise(maps[:1], 100), np.maximum(maps[:1], 0) / np.float32(1000))


def test_of_a_map_without_a_place_that_stands_out_it_is_said_and_of_no_other():
    assert remark(np.zeros((4, 4))) == SHOWS_NOTHING
    assert remark(np.full((4, 4), 0.3)) == remark(np.ones((1, 1))) == SAME_EVERYWHERE
    peak = np.zeros((4, 4))
    peak[1, 2] = 0.01
    assert remark(peak) == ""

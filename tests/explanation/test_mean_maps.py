from __future__ import annotations

import numpy as np
import pytest

from tasks.config import InputError
from tasks.explanation.drawing import EMPTY, FRAME, RIGHT, WRONG
from tasks.explanation.mean_maps import MeanMaps, mean_map_figure, mean_maps, pooled_mean_maps
from tasks.explanation.overlays import colour_table

SIDE = 132


def example(n_classes=2, seed=0, size=5):
    rng = np.random.default_rng(seed)
    maps = rng.random((40, size, size), dtype=np.float32)
    return maps, rng.integers(0, n_classes, 40), rng.random(40) < 0.7


def flat(values, n_right, n_wrong):
    """Mean maps of one value throughout for right, and of half of it for wrong."""
    right = np.ones((len(values), 4, 4)) * np.array(values)[:, None, None]
    return MeanMaps(right, right / 2, np.array(n_right), np.array(n_wrong))


def seen(figure, colour):
    return np.argwhere((np.asarray(figure) == colour).all(axis=-1))


def test_means_and_counts_are_those_of_a_slow_loop():
    maps, classes, right = example(3)
    found = mean_maps(maps, classes, right, 4)
    for good in (True, False):
        means, counts = found.of(good)
        for number in range(4):
            own = [maps[i].astype(float) for i in range(40) if classes[i] == number and right[i] == good]
            assert counts[number] == len(own)
            np.testing.assert_allclose(means[number], sum(own) / len(own) if own else np.zeros((5, 5)), atol=1e-12)


def test_a_planted_place_stands_out_in_the_class_that_has_it():
    maps, classes, right = example()
    maps *= 0.3
    maps[classes == 1, 0, 0] = 1
    found = mean_maps(maps, classes, right, 2)
    assert found.right[1].argmax() == found.wrong[1].argmax() == 0
    assert found.right[1, 0, 0] == 1
    assert found.right[0].max() < 0.3


def test_what_does_not_fit_is_refused():
    maps, classes, right = example()
    for given in ((maps[0], classes, right), (maps, classes[:3], right), (maps, classes, right[:3])):
        with pytest.raises(ValueError, match="fit"):
            mean_maps(*given, 2)
    with pytest.raises(ValueError, match="from 0 to 0"):
        mean_maps(maps, classes, right, 1)
    for spoiled in (maps * 3, maps - 1, np.where(maps > 0.5, np.nan, maps)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            mean_maps(spoiled, classes, right, 2)


def test_no_image_at_all_gives_counts_of_zero_and_a_figure():
    found = mean_maps(np.zeros((0, 7, 7)), np.zeros(0, int), np.zeros(0, bool), 2)
    assert found.n_right.tolist() == found.n_wrong.tolist() == [0, 0]
    assert mean_map_figure({"a": found}, ["x", "y"], title="t").size[0] > 0


def test_all_tiles_share_one_scale():
    own = {"a": flat([0.5], [3], [2]), "b": flat([0.25], [3], [2])}
    figure = mean_map_figure(own, ["x"], title="t", colormap="viridis")
    table = colour_table("viridis")
    area = (SIDE - 2 * FRAME) ** 2
    for share, n_tiles in ((1.0, 1), (0.5, 2), (0.25, 1)):
        colour = table[min(int(256 * share), 255)]
        assert len(seen(figure, colour)) >= n_tiles * area
        assert len(seen(figure, colour)) < n_tiles * area + 3000
    columns = [seen(figure, table[int(256 * share)])[:, 1].mean() for share in (0.5, 0.25)]
    assert columns[0] < columns[1]


def test_columns_of_their_own_scales_are_each_as_bright_as_can_be():
    bright, faint = flat([1.0], [1], [0]), flat([0.1], [1], [0])
    area, top = (SIDE - 2 * FRAME) ** 2, colour_table("viridis")[255]
    for one_scale, n_tiles in ((True, 1), (False, 2)):
        figure = mean_map_figure({"a": bright, "b": faint}, ["x"], title="t", one_scale=one_scale, colormap="viridis")
        assert n_tiles * area <= len(seen(figure, top)) < (n_tiles + 0.5) * area


def test_parts_put_together_are_the_means_of_all_images():
    maps, classes, right = example(2, seed=3)
    parts = [
        mean_maps(maps[part], classes[part], right[part], 2) for part in (slice(0, 7), slice(7, 8), slice(8, None))
    ]
    pooled, whole = pooled_mean_maps(parts), mean_maps(maps, classes, right, 2)
    for name in ("right", "wrong", "n_right", "n_wrong"):
        np.testing.assert_allclose(getattr(pooled, name), getattr(whole, name), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="nothing"):
        pooled_mean_maps([])


def test_right_stands_left_of_wrong_and_no_images_give_an_empty_tile():
    figure = mean_map_figure({"a": flat([0.5, 0.5], [3, 3], [2, 0])}, ["x", "y"], title="t", colormap="viridis")
    table, whole = colour_table("viridis"), (SIDE - 2 * FRAME) ** 2
    assert seen(figure, table[255])[:, 1].mean() < seen(figure, table[128])[:, 1].mean()
    assert whole <= len(seen(figure, table[128])) < 1.2 * whole
    assert len(seen(figure, EMPTY)) >= SIDE**2
    assert len(seen(figure, RIGHT)) > len(seen(figure, WRONG)) > 0


def test_maps_of_different_sizes_stand_in_one_figure_and_many_classes_are_cut():
    maps, classes, right = example(60)
    small, large = mean_maps(maps, classes, right, 60), mean_maps(*example(60, size=9), 60)
    names = [f"class {number}" for number in range(60)]
    whole = mean_map_figure({"a": small, "b": large}, names, title="t", max_classes=60)
    cut = mean_map_figure({"a": small, "b": large}, names, title="t", max_classes=7)
    assert cut.width == whole.width
    assert cut.height < whole.height / 5


def test_the_classes_with_the_most_images_are_kept_in_their_order():
    own = flat([0.1, 0.9, 0.5], [1, 5, 9], [0, 0, 0])
    figure = mean_map_figure({"a": own}, ["x", "y", "z"], title="t", colormap="viridis", max_classes=2)
    table = colour_table("viridis")
    upper, lower = (seen(figure, table[min(int(256 * share), 255)])[:, 0] for share in (1.0, 0.5 / 0.9))
    assert np.median(upper) < np.median(lower)
    assert len(seen(figure, table[int(256 * 0.1 / 0.9)])) < SIDE**2 / 2


def test_a_figure_of_nothing_or_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="one or more backbones"):
        mean_map_figure({}, ["x"], title="t")
    with pytest.raises(ValueError, match="of 2 classes"):
        mean_map_figure({"a": flat([0.5], [1], [1])}, ["x", "y"], title="t")
    with pytest.raises(InputError, match="colour map"):
        mean_map_figure({"a": flat([0.5], [1], [1])}, ["x"], title="t", colormap="none such")

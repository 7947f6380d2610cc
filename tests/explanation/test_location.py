import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from tasks.dataset.pixels.shaping import Shaping
from tasks.explanation.edge_looks import CODES, edge_looks
from tasks.explanation.location import (
    CORNERS,
    area_shares,
    edge_shares,
    inside,
    location_table,
)

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def random():
    return np.random.default_rng(0)


def names(n):
    return [f"{number}.png" for number in range(n)]


def test_shares_equal_a_slow_loop(random):
    maps = random.random((3, 40, 20))
    found = edge_shares(maps, border=0.1, corner=0.25)
    for number, heat in enumerate(maps):
        sums = dict.fromkeys(("border", *CORNERS), 0.0)
        for row in range(40):
            for column in range(20):
                value = heat[row, column]
                if row < 4 or row >= 36 or column < 2 or column >= 18:
                    sums["border"] += value
                down = "top" if row < 10 else "bottom" if row >= 30 else None
                side = "left" if column < 5 else "right" if column >= 15 else None
                if down and side:
                    sums[f"{down} {side}"] += value
        for place, part in sums.items():
            assert found.loc[number, place] == pytest.approx(part / heat.sum(), rel=1e-5)
        assert found.loc[number, "corner"] == pytest.approx(found.loc[number, list(CORNERS)].sum())


@pytest.mark.parametrize("shape", [(7, 7), (8, 12), (224, 224), (1, 1), (3, 50)])
@pytest.mark.parametrize(("border", "corner"), [(0.1, 0.2), (0.03, 0.5), (0.5, 0.07)])
def test_even_heat_has_the_areas_shares_at_any_resolution(shape, border, corner):
    found = edge_shares(np.full((2, *shape), 3.0), border=border, corner=corner)
    for place, area in area_shares(border, corner).items():
        np.testing.assert_allclose(found[place], area, rtol=1e-9)


def test_scale_changes_nothing_and_blank_maps_have_no_shares(random):
    maps = random.normal(size=(4, 9, 9))
    pd.testing.assert_frame_equal(edge_shares(maps * 16), edge_shares(np.maximum(maps, 0)))
    maps[1], maps[2, 3, 3] = -1, np.nan
    found = edge_shares(maps)
    assert found.isna().all(axis=1).tolist() == [False, True, True, False]
    for border, corner in ((0, 0.1), (0.6, 0.1), (0.1, 0.51)):
        with pytest.raises(ValueError, match="at most half"):
            edge_shares(maps, border=border, corner=corner)


def spots(rows, columns, side=10):
    maps = np.zeros((len(rows), side, side))
    maps[np.arange(len(rows)), rows, columns] = 1
    return maps


def test_the_pointing_game_and_the_heat_inside():
    mask = np.zeros((20, 40), bool)
    mask[4:8, 8:16] = True
    maps = np.zeros((5, 20, 40), np.float32)
    maps[0, 5, 9] = 1
    maps[1, 12, 20] = 2
    maps[2, 5, 9], maps[2, 12, 20] = 3, 1
    maps[3] = 1
    found = inside(maps, [mask] * 5)
    np.testing.assert_allclose(found.hit, [1, 0, 1, 32 / 800, np.nan])
    np.testing.assert_allclose(found.heat, [1, 0, 0.75, 32 / 800, np.nan])
    np.testing.assert_allclose(found.area, 32 / 800)
    np.testing.assert_array_equal(inside(maps * 4, [mask] * 5).heat, found.heat)
    near = np.zeros((2, 20, 40))
    near[0, 9, 8], near[1, 11, 8] = 1, 1
    np.testing.assert_array_equal(inside(near, [mask] * 2).hit, [0, 0])
    np.testing.assert_array_equal(inside(near, [mask] * 2, tolerance=2).hit, [1, 0])
    with pytest.raises(ValueError):
        inside(maps, [mask])


def test_maps_of_the_square_are_laid_back_onto_the_picture():
    mask = np.zeros((50, 100), bool)
    mask[:, 50:] = True
    square = np.zeros((1, 8, 8))
    square[:, 3:5, 4:], square[:, :1, :4] = 1, 5
    found = inside(square, [mask], how=Shaping("pad"))
    assert found.hit == 1
    assert found.heat > 0.9
    stretched = inside(square, [mask])
    assert stretched.hit == 0
    assert stretched.heat < 0.4


def test_the_table_is_by_class_and_outcome(random):
    maps = np.concatenate([spots(np.full(8, 5), np.full(8, 5)), spots(np.zeros(8, int), np.full(8, 5))])
    right = np.tile([True, False], 8)
    right[:8] = True
    found = location_table(edge_shares(maps), ["a"] * 8 + ["b"] * 8, right).set_index(["class", "outcome"])
    assert list(found.index) == [("a", "all"), ("a", "right"), ("b", "all"), ("b", "right"), ("b", "wrong")]
    assert found.loc[("b", "all"), "border"] == 1
    assert found.loc[("a", "all"), "border"] == 0
    assert found["n_images"].tolist() == [8, 8, 8, 4, 4]
    assert np.isnan(found.loc[("b", "wrong"), "border_low"])
    mixed = location_table(edge_shares(random.random((30, 7, 7))), ["a"] * 30, np.ones(30, bool))
    assert (mixed["border_low"] < mixed["border"]).all()
    assert (mixed["border"] < mixed["border_high"]).all()


def trained_on(images, y):
    """A trained linear model's maps for what it predicts: the positive parts of the score, pixel by pixel."""
    model = LogisticRegression().fit(images.reshape(len(images), -1), y)
    predicted = model.predict(images.reshape(len(images), -1))
    weights = model.coef_.reshape(images.shape[1:])
    return np.where(predicted[:, None, None] == 1, 1, -1) * weights * images


def shortcut(random, planted):
    y = np.tile([0, 1], 60)
    images = random.random((120, 20, 20)) * 0.5
    images[y == 1, 8:11, 8:11] += 0.2
    if planted:
        images[y == 1, 16:19, 16:19] = 1
    return images, y


def test_a_model_trained_on_a_planted_corner_is_caught(random):
    images, y = shortcut(random, planted=True)
    maps = trained_on(images, y)
    labels = np.array(["healthy", "rust"])[y]
    found = list(edge_looks(edge_shares(maps), labels, names(120)))
    assert {one.code for one in found} <= set(CODES)
    corner = next(one for one in found if one.code == "explain.corner")
    assert (corner.place, corner.label, corner.corner, corner.n_images) == ("corner", "rust", "bottom right", 60)
    shares = edge_shares(maps)["corner"]
    assert (corner.share, corner.elsewhere) == (shares[y == 1].mean(), shares[y == 0].mean())
    assert corner.area == pytest.approx(0.16)
    assert set(corner.images) == set(np.array(names(120))[y == 1])
    by_image = edge_shares(maps).set_axis(names(120))["corner"]
    assert by_image[list(corner.images)].is_monotonic_decreasing
    assert {one.label for one in found} == {"rust"}


def test_a_model_without_a_shortcut_raises_nothing(random):
    images, y = shortcut(random, planted=False)
    maps = trained_on(images, y)
    assert list(edge_looks(edge_shares(maps), np.array(["a", "b"])[y], names(120))) == []


def edge_maps(random, share, n=20):
    """Heat of which about this share lies in the border's middle, not in the corners."""
    maps = random.random((n, 20, 20)) * 0.02
    maps[:, 9:12, 9:12] += (1 - share) / 9
    maps[:, 9:12, :2] += share / 6
    return maps


def test_a_border_of_one_class_is_found_and_nothing_else(random):
    maps = np.concatenate([edge_maps(random, 0.9), edge_maps(random, 0.1), edge_maps(random, 0.1)])
    labels = np.repeat(["c", "a", "b"], 20)
    (found,) = edge_looks(edge_shares(maps), labels, names(60))
    assert found.code == "explain.border"
    assert (found.label, found.corner) == ("c", "")
    assert sorted(found.images) == sorted(names(20))
    assert list(edge_looks(edge_shares(maps * 8), labels, names(60))) == [found]


def test_what_all_classes_have_is_no_classs_own(random):
    maps = np.concatenate([edge_maps(random, 0.9), edge_maps(random, 0.88), edge_maps(random, 0.9)])
    assert list(edge_looks(edge_shares(maps), np.repeat(["a", "b", "c"], 20), names(60))) == []
    assert list(edge_looks(edge_shares(maps), ["a"] * 60, names(60))) == []


def test_more_than_the_others_but_less_than_the_area_is_no_finding(random):
    maps = np.concatenate([edge_maps(random, 0.2), edge_maps(random, 0.0)])
    shares = edge_shares(maps)
    assert shares["border"][:20].mean() < area_shares()["border"] + 0.1
    assert list(edge_looks(shares, np.repeat(["a", "b"], 20), names(40))) == []


def test_few_images_or_groups_are_no_evidence(random):
    maps = np.concatenate([edge_maps(random, 0.9, 5), edge_maps(random, 0.1)])
    labels = np.array(["a"] * 5 + ["b"] * 20)
    assert list(edge_looks(edge_shares(maps), labels, names(25))) == []
    maps = np.concatenate([edge_maps(random, 0.9), edge_maps(random, 0.1)])
    labels = np.repeat(["a", "b"], 20)
    patients = np.concatenate([np.arange(20) % 3, 3 + np.arange(20) % 10])
    assert list(edge_looks(edge_shares(maps), labels, names(40), groups=patients)) == []
    assert len(list(edge_looks(edge_shares(maps), labels, names(40)))) == 1


def test_few_single_spots_of_many_classes_are_no_finding_although_intervals_alone_would_say_so():
    labels = np.repeat([f"class {number}" for number in range(10)], 6)
    raised = 0
    for seed in range(30):
        random = np.random.default_rng(seed)
        maps = np.zeros((60, 4, 4))
        maps[np.arange(60), random.integers(4, size=60), random.integers(4, size=60)] = 1
        raised += bool(list(edge_looks(edge_shares(maps), labels, names(60))))
    assert raised <= 3  # intervals alone: 13 of 30


def test_random_maps_rarely_raise_a_finding():
    labels = np.repeat(["a", "b", "c", "d"], 8)
    raised = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        maps = spots(random.integers(10, size=32), random.integers(10, size=32))
        raised += bool(list(edge_looks(edge_shares(maps), labels, names(32))))
    assert raised <= 2

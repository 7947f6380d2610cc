import numpy as np
import pytest
from scipy.stats import spearmanr

from tasks.dataset.pixels.shaping import lay_back
from tasks.explanation.stability import agreement, rank_correlation, under_noise, under_shift

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_it_is_spearmans_correlation_also_with_ties(random):
    first = np.maximum(random.normal(size=(6, 7, 9)), 0)
    second = np.round(first + random.normal(size=(6, 7, 9)), 1)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected, atol=1e-12)
    np.testing.assert_allclose(rank_correlation(first, second), rank_correlation(second, first))
    np.testing.assert_allclose(rank_correlation(first, -first), -1)


def test_a_scale_changes_nothing(random):
    first, second = random.normal(size=(2, 4, 6, 6))
    np.testing.assert_array_equal(rank_correlation(3.7 * first + 2, second), rank_correlation(first, second / 9))


def test_maps_that_say_nothing(random):
    some = random.random((4, 5, 5))
    none = np.stack([np.zeros((5, 5)), np.ones((5, 5)), np.full((5, 5), np.nan), some[3]])
    np.testing.assert_allclose(rank_correlation(some, none), [0, 0, 0, 1])
    np.testing.assert_array_equal(rank_correlation(none[:3], none[:3]), [np.nan] * 3)


def test_maps_of_other_resolutions_are_compared_over_the_same_square(random):
    coarse = random.random((5, 6, 6)).astype(np.float32)
    fine = np.stack([lay_back(heat, 48, 60) for heat in coarse])
    assert (rank_correlation(coarse, fine) > 0.85).all()
    assert (rank_correlation(coarse[::-1], fine)[[0, 1, 3, 4]] < 0.5).all()
    tall, wide = random.random((2, 8, 4)), random.random((2, 4, 8))
    assert rank_correlation(tall, wide).shape == (2,)
    with pytest.raises(ValueError, match="as many maps"):
        rank_correlation(tall, wide[:1])


def test_agreement_of_several_models(random):
    truth = random.random((12, 7, 7))
    maps = {"fold 0": truth, "fold 1": truth + random.normal(0, 0.1, truth.shape), "fold 2": random.random((12, 7, 7))}
    maps["fold 2"][0] = 0
    found = agreement(maps)
    by_pair = found.pairs.set_index(["first", "second"])
    near, far = by_pair.loc[("fold 0", "fold 1")], by_pair.loc[("fold 0", "fold 2")]
    assert len(found.pairs) == 3
    assert 0.8 < near["low"] < near["mean"] < near["high"] < 1
    assert far["low"] < far["mean"] < far["high"] < 0.3
    of_pairs = [rank_correlation(maps[a], maps[b]) for a, b in by_pair.index]
    np.testing.assert_allclose(found.values, np.mean(of_pairs, axis=0))
    assert found.mean.mean == pytest.approx(found.values.mean())
    for model in maps.values():
        model[3] = 0
    blank = agreement(maps)
    assert np.isnan(blank.values[3])
    assert (blank.pairs["n_images"] == 11).all()
    with pytest.raises(ValueError, match="two models"):
        agreement({"one": truth})


def brightness(images, targets):
    return np.zeros((len(images), 2)), images.mean(axis=-1)


def nothing_learnt(images, targets):
    return np.zeros((len(images), 2)), np.broadcast_to(np.arange(24 * 32.0).reshape(24, 32), (len(images), 24, 32))


@pytest.fixture
def pictures(random):
    return random.uniform(50, 200, (9, 24, 32, 3)).astype(np.float32), np.zeros(9, int)


def test_a_map_that_moves_along_is_steady_under_shifts_and_one_that_does_not_is_not(pictures):
    moved = under_shift(brightness, *pictures, brightness(*pictures)[1], share=0.1, draws=8)
    np.testing.assert_allclose(moved.values, 1, atol=1e-12)
    assert moved.passes == 72
    fixed = np.random.default_rng(1).random((24, 32))

    def same_for_all(images, targets):
        return None, np.broadcast_to(fixed, (len(images), 24, 32))

    still = under_shift(same_for_all, *pictures, same_for_all(*pictures)[1], share=0.1)
    assert (still.values < 0.3).all()


def test_a_large_square_moves_by_its_own_share(pictures):
    seen = []

    def method(images, targets):
        seen.append(images)
        return brightness(images, targets)

    under_shift(method, *pictures, brightness(*pictures)[1], share=0.25, draws=8)
    moves = set()
    original = pictures[0][0]
    for images in seen:
        for down in (-6, 0, 6):
            for across in (-8, 0, 8):
                if np.array_equal(np.roll(original, (down, across), (0, 1))[8:-8, 8:-8], images[0][8:-8, 8:-8]):
                    moves.add((down, across))
    assert len(moves) == 8
    assert (0, 0) not in moves


def test_noise(pictures):
    maps = brightness(*pictures)[1]
    none = under_noise(brightness, *pictures, maps, share=0)
    little, much = (under_noise(brightness, *pictures, maps, share=share, draws=3) for share in (0.02, 0.3))
    np.testing.assert_allclose(none.values, 1)
    assert (little.values > much.values).all()
    assert little.mean.low > much.mean.high
    assert little.passes == 27
    deaf = under_noise(nothing_learnt, *pictures, nothing_learnt(*pictures)[1], share=0.3)
    np.testing.assert_allclose(deaf.values, 1)


def test_noise_is_within_the_range_of_pictures(pictures):
    def method(images, targets):
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 255
        return brightness(images, targets)

    under_noise(method, *pictures, brightness(*pictures)[1], share=0.5)


@pytest.mark.parametrize("measure", [under_noise, under_shift])
def test_the_batch_changes_nothing_and_the_seed_does(pictures, measure):
    images, targets = pictures
    maps = images[:, ::-1].mean(axis=-1)

    def method(images, targets):
        return None, images.mean(axis=-1) ** 2 + np.roll(images[..., 0], 3, axis=1)

    whole, small = (measure(method, images, targets, maps, batch=batch) for batch in (32, 4))
    np.testing.assert_array_equal(whole.values, small.values)
    assert whole.mean == small.mean
    assert not np.array_equal(measure(method, images, targets, maps, seed=1).values, whole.values)


def test_no_maps_have_no_correlation():
    assert rank_correlation(np.zeros((0, 3, 3)), np.zeros((0, 5, 5))).shape == (0,)

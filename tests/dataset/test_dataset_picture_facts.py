from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data as pictures

from tasks.dataset.lookalikes.picture_facts import EVEN, INVERSE, VARIANTS, dihedral_hashes, hash_words, picture_facts

FLIPS = (
    lambda image: image,
    np.fliplr,
    np.flipud,
    lambda image: np.rot90(image, 2),
    lambda image: image.swapaxes(0, 1),
    lambda image: np.rot90(image, -1),
    np.rot90,
    lambda image: np.rot90(image.swapaxes(0, 1), 2),
)
"""What each of `VARIANTS` does to an array."""


def words_of(*images):
    return hash_words([picture_facts(np.ascontiguousarray(image)).hashes for image in images])[1]


def differing(one, other):
    return int(np.bitwise_count(one ^ other))


def real(name):
    image = getattr(pictures, name)()
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def plain_phash(small):
    """The package imagehash's phash of a 32 × 32 picture, with the transform written out."""
    place, frequency = np.arange(32), np.arange(8)[:, None]
    cosines = 2 * np.cos(np.pi * frequency * (2 * place + 1) / 64)
    low = cosines @ small @ cosines.T
    return low > np.median(low)


def test_the_first_hash_is_the_one_that_the_formula_gives():
    small = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    words = hash_words([dihedral_hashes(small)])[1]
    bits = plain_phash(small.astype(float)).ravel()
    assert int(words[0, 0]) == int("".join(map(str, bits.astype(int))), 2)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_hash_of_a_variant_is_the_hash_of_the_picture_so_flipped(seed):
    small = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
    words = hash_words([dihedral_hashes(small)])[1][0]
    for place, flip in enumerate(FLIPS):
        drawn = hash_words([dihedral_hashes(np.ascontiguousarray(flip(small)))])[1][0]
        assert differing(words[place], drawn[0]) == 0, VARIANTS[place]
        assert differing(drawn[INVERSE[place]], words[0]) == 0


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "camera", "retina", "rocket"])
def test_a_real_picture_is_known_again_when_resized_recompressed_or_flipped(name, tmp_path):
    image = real(name)
    height, width, _ = image.shape
    Image.fromarray(image).resize((width * 2 // 3, height * 2 // 3)).save(tmp_path / "copy.jpg", quality=60)
    copy = np.asarray(Image.open(tmp_path / "copy.jpg"))
    original, resized = words_of(image, copy)
    assert differing(original[0], resized[0]) <= 2
    for place, flip in enumerate(FLIPS):
        flipped = words_of(flip(copy))[0]
        assert differing(original[place], flipped[0]) <= 4, VARIANTS[place]


def test_unrelated_pictures_differ_in_about_half_their_bits():
    words = words_of(*map(real, ("astronaut", "chelsea", "coffee", "rocket")))
    distances = [
        differing(words[one, 0], words[other, k]) for one in range(4) for other in range(one) for k in range(8)
    ]
    assert min(distances) > 11
    assert 24 < np.mean(distances) < 40


def test_even_pictures_have_no_hash_and_the_others_keep_their_places():
    even = np.full((40, 60, 3), 90, np.uint8)
    noisy = even + np.random.default_rng(0).integers(0, 4, even.shape, dtype=np.uint8)
    steps = np.repeat(np.repeat(np.linspace(0, 200, 60).astype(np.uint8)[None, :, None], 40, axis=0), 3, axis=2)
    assert picture_facts(even).hashes == picture_facts(noisy).hashes == b""
    rows, words = hash_words([picture_facts(image).hashes for image in (even, steps, noisy, steps)])
    assert rows.tolist() == [1, 3]
    np.testing.assert_array_equal(words[0], words[1])
    assert hash_words([b"", b""])[1].shape == (0, 8)
    assert EVEN > 0


def test_brightness_contrast_and_commonest_colour_are_those_of_the_pixels():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:16] = 255
    facts = picture_facts(image)
    assert facts.brightness == pytest.approx(0.25)
    assert facts.contrast == pytest.approx(np.sqrt(0.25 * 0.75))
    assert facts.commonest == pytest.approx(0.75)
    large = picture_facts(np.kron(image, np.ones((10, 10, 1), np.uint8)))
    assert large.commonest == pytest.approx(0.75, abs=0.01)


def test_sharpness_falls_with_blur_and_not_with_size():
    from scipy.ndimage import gaussian_filter

    sharp = real("astronaut")
    blurred = gaussian_filter(sharp, (4, 4, 0))
    twice = np.asarray(Image.fromarray(sharp).resize((1024, 1024)))
    values = [picture_facts(image).sharpness for image in (sharp, blurred, twice)]
    assert values[1] < values[0] / 10
    assert values[2] == pytest.approx(values[0], rel=0.5)


def test_sharpness_of_a_single_point_is_the_variance_of_the_laplacian():
    image = np.zeros((5, 5, 3), np.uint8)
    image[2, 2] = 10
    laplacian = np.array([0, 10, 0, 10, -40, 10, 0, 10, 0])
    assert picture_facts(image).sharpness == pytest.approx(laplacian.var())


def test_colour_is_what_is_seen_and_not_how_it_is_stored(tmp_path):
    grey = real("camera")
    Image.fromarray(grey).save(tmp_path / "grey.jpg", quality=70)
    assert not picture_facts(np.asarray(Image.open(tmp_path / "grey.jpg"))).colour
    assert picture_facts(real("chelsea")).colour


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 700), st.integers(0, 255))
def test_every_shape_has_facts(height, width, level):
    facts = picture_facts(np.full((height, width, 3), level, np.uint8))
    assert facts == (b"", *(pytest.approx(value) for value in (level / 255, 0, 0, 1)), False, 0.0, 0.0)

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import DisjointSet

from tasks.dataset.lookalikes.near_duplicates import MAX_PAIRS, near_duplicates
from tasks.dataset.lookalikes.picture_facts import INVERSE, dihedral_hashes

N = 10_000


def texts_of(words):
    return [row.astype(">u8").tobytes() for row in words]


def by_brute_force(words, distance):
    """Every pair with its least distance and the first variant that has it, each picture compared with each."""
    pairs = {}
    for first in range(len(words)):
        for second in range(first + 1, len(words)):
            there = np.bitwise_count(words[first] ^ words[second, 0]).astype(int)
            back = np.bitwise_count(words[second] ^ words[first, 0]).astype(int)[list(INVERSE)]
            distances = np.minimum(there, back)
            if distances.min() <= distance:
                pairs[first, second] = int(distances.min()), int(distances.argmin())
    return pairs


def found(pairs):
    columns = (pairs.table[name].tolist() for name in ("first", "second", "distance", "variant"))
    return {(one, other): (distance, variant) for one, other, distance, variant in zip(*columns, strict=True)}


def scattered(random, n, n_centres, flips):
    """Hashes in clouds around centres, each with up to `flips` bits changed, variants among them."""
    centres = random.integers(0, 2**64, (n_centres, 8), dtype=np.uint64)
    words = centres[random.integers(n_centres, size=n)]
    for _ in range(flips):
        words = words ^ np.where(
            random.random((n, 8)) < 0.7, np.uint64(1) << random.integers(0, 64, (n, 8), dtype=np.uint64), np.uint64(0)
        )
    shuffled = random.integers(8, size=n)
    words[:, 0] = words[np.arange(n), shuffled]
    return words


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(2, 40), st.integers(1, 6))
def test_the_pairs_are_those_of_comparing_each_with_each(seed, distance, n, n_centres):
    words = scattered(np.random.default_rng(seed), n, n_centres, flips=5)
    words[n // 2] = words[0]
    pairs = near_duplicates(texts_of(words), distance)
    assert found(pairs) == by_brute_force(words, distance)
    assert (pairs.reach, pairs.thinned, pairs.unhashed) == (distance, False, ())
    assert pairs.table["distance"].is_monotonic_increasing


@given(st.integers(0, 2**32 - 1))
def test_a_pair_is_named_by_what_makes_the_second_of_the_first(seed):
    small = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
    clockwise = np.ascontiguousarray(np.rot90(small, -1))
    hashes = [dihedral_hashes(image) for image in (small, clockwise)]
    assert found(near_duplicates(hashes, 0)) == {(0, 1): (0, 5)}
    assert found(near_duplicates(hashes[::-1], 0)) == {(0, 1): (0, 6)}


def test_pictures_without_a_hash_are_left_out_and_named():
    words = np.random.default_rng(0).integers(0, 2**64, (1, 8), dtype=np.uint64)
    text = texts_of(words)[0]
    pairs = near_duplicates([b"", text, b"", text], 4)
    assert found(pairs) == {(1, 3): (0, 0)}
    assert pairs.unhashed == (0, 2)
    for empty in ([], [b"", b""]):
        assert near_duplicates(empty, 4).table.empty


def clusters(n, pairs, distance):
    sets = DisjointSet(range(n))
    for (one, other), (apart, _) in pairs.items():
        if apart <= distance:
            sets.merge(one, other)
    return {frozenset(subset) for subset in sets.subsets()}


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_beyond_the_most_pairs_a_forest_joins_the_same_pictures_at_every_distance(seed, max_pairs):
    random = np.random.default_rng(seed)
    words = scattered(random, 40, 3, flips=6)[random.integers(40, size=50)]
    pairs, full = near_duplicates(texts_of(words), 8, max_pairs=max_pairs), by_brute_force(words, 8)
    assert pairs.thinned is (len(full) > max_pairs)
    thinned = found(pairs)
    assert all(full[pair][0] == apart for pair, (apart, _) in thinned.items())
    assert not pairs.thinned or len(thinned) < 50
    for distance in range(9):
        assert clusters(50, thinned, distance) == clusters(50, full, distance)


def test_a_search_that_would_take_too_long_reaches_less_far_and_is_complete_there():
    words = scattered(np.random.default_rng(3), 300, 1, flips=4)
    pairs = near_duplicates(texts_of(words), 8, max_comparisons=20_000)
    assert pairs.distance == 8
    assert pairs.reach in (0, 3)
    assert found(pairs) == by_brute_force(words, pairs.reach)


def rig(random, n, flips):
    """Pictures of one rig: all hashes in one cloud."""
    return scattered(random, n, 1, flips)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unrelated", lambda random: random.integers(0, 2**64, (N, 8), dtype=np.uint64)),
        ("all equal", lambda random: np.repeat(random.integers(0, 2**64, (1, 8), dtype=np.uint64), N, axis=0)),
        ("pairs", lambda random: scattered(random, N, N // 2, 2)),
        (
            "one rig of some",
            lambda random: np.concatenate([rig(random, N // 7, 6), scattered(random, N - N // 7, N // 2, 3)]),
        ),
        ("one rig of all", lambda random: rig(random, N, 6)),
    ],
)
def test_ten_thousand_pictures_take_seconds_whatever_they_look_like(name, words):
    hashes = texts_of(words(np.random.default_rng(0)))
    began = time.process_time()
    pairs = near_duplicates(hashes, 6)
    seconds = time.process_time() - began
    assert seconds < 5
    assert len(pairs.table) <= MAX_PAIRS

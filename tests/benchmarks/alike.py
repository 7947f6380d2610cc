"""Pairs of pictures with nearly the same look: by foldcam's search, and each compared with each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.config import Data
from tasks.dataset.lookalikes.near_duplicates import near_duplicates
from tasks.dataset.lookalikes.picture_facts import INVERSE, hash_words, picture_facts
from tests.benchmarks.material import variants

Pairs = dict[tuple[int, int], int]
"""The distance of two pictures, by their numbers."""

DISTANCE = Data(path=".").audit.near_duplicates.distance


def searched(n: int, begin: Callable[[], None]) -> Pairs:
    """Find the pairs as the audit does."""
    hashes = _hashes(n)
    near_duplicates(hashes[:50], DISTANCE)
    begin()
    table = near_duplicates(hashes, DISTANCE).table
    columns = (table[name].tolist() for name in ("first", "second", "distance"))
    return {(one, other): distance for one, other, distance in zip(*columns, strict=True)}


def compared(n: int, begin: Callable[[], None]) -> Pairs:
    """Find the pairs by comparing each picture with all that follow it."""
    hashes = _hashes(n)
    begin()
    rows, words = hash_words(hashes)
    upright, found = words[:, 0].copy(), {}
    for place, own in enumerate(words):
        there = np.bitwise_count(own[list(INVERSE)] ^ upright[place + 1 :, None])
        back = np.bitwise_count(words[place + 1 :] ^ own[0])
        least = np.minimum(there, back).min(axis=1)
        for other in np.flatnonzero(least <= DISTANCE):
            found[int(rows[place]), int(rows[place + 1 + other])] = int(least[other])
    return found


def _hashes(n: int) -> list[bytes]:
    return [picture_facts(picture).hashes for picture in variants(n)]

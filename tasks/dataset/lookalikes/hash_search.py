"""Multi-index hashing: pairs of 64-bit hashes that differ in few bits, without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tasks.dataset.lookalikes.pair_edges import Edges, Integers
from tasks.dataset.lookalikes.picture_facts import VARIANTS

Words = NDArray[np.uint64]

_BANDS = 4
_BAND_BITS = 16
_CHUNK = 1 << 19
_N_VARIANTS = len(VARIANTS)


def search_reach(looks: Words, distance: int, max_comparisons: int) -> int:
    """Return the largest distance, `distance` at most, that a search for it stays below so many comparisons.

    The distances tried are those where the work falls: `distance`, 7, 3 and 0.
    """
    tried = dict.fromkeys(min(distance, most) for most in (distance, 7, 3))
    return next((reach for reach in tried if _n_comparisons(looks, reach) <= max_comparisons), 0)


def hits(looks: Words, reach: int) -> Iterator[Edges]:
    """Yield the pairs of looks within reach, some of them repeatedly, in pieces that fit into memory.

    Parameters
    ----------
    looks : ndarray of shape (n_looks, 8), uint64
        The hashes of every look's variants. The first variant of each is compared with all variants of the others.
    reach
        The largest number of bits that differ.
    """
    for keys in _keys(looks, reach):
        kept = keys[::_N_VARIANTS]
        order = np.argsort(kept, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(kept, minlength=_n_keys(keys)))])
        for mask in _masks(reach):
            wanted = keys ^ mask
            begins, counts = starts[wanted], starts[wanted + 1] - starts[wanted]
            asking = np.flatnonzero(counts)
            pieces = np.cumsum(counts[asking]) // _CHUNK
            for queries in np.split(asking, np.flatnonzero(np.diff(pieces)) + 1):
                yield _compared(looks, queries, order, begins[queries], counts[queries], reach)


def _compared(
    looks: Words, queries: Integers, order: Integers, begins: Integers, counts: Integers, reach: int
) -> Edges:
    """Pairs among queries (places of variants) and, for each, `counts` looks from the place `begins` of `order`."""
    query = np.repeat(queries, counts)
    within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    one = order[np.repeat(begins, counts) + within]
    distance = np.bitwise_count(looks[:, 0][one] ^ looks.reshape(-1)[query])
    other = query // _N_VARIANTS
    near = np.flatnonzero((distance <= reach) & (one != other))
    variant = query[near] % _N_VARIANTS
    return Edges(other[near], one[near], distance[near].astype(np.int64), variant).ordered()


def _keys(looks: Words, reach: int) -> list[Integers]:
    """Numbers of every variant of every look; of two hashes within reach, one number is equal but for a mask."""
    words = looks.reshape(-1)
    if reach == 0:
        return [np.unique(words, return_inverse=True)[1].reshape(-1).astype(np.int64)]
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1)
    bands = (np.packbits(bits[:, band::_BANDS], axis=1) for band in range(_BANDS))
    return [band.view(np.uint16).reshape(-1).astype(np.int64) for band in bands]


def _n_keys(keys: Integers) -> int:
    return max(int(keys.max()) + 1, 1 << _BAND_BITS)


def _masks(reach: int) -> list[int]:
    """Every change that the most similar bands of two hashes within reach may show."""
    sizes = range(reach // _BANDS + 1)
    return [sum(1 << bit for bit in bits) for size in sizes for bits in combinations(range(_BAND_BITS), size)]


def _n_comparisons(looks: Words, reach: int) -> int:
    total = 0
    for keys in _keys(looks, reach):
        places = np.arange(_n_keys(keys))
        asked, kept = (np.bincount(some, minlength=len(places)) for some in (keys, keys[::_N_VARIANTS]))
        total += sum(int(asked[places ^ mask if mask else places] @ kept) for mask in _masks(reach))
    return total

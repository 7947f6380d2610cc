"""Multi-index hashing: pairs of 64-bit hashes that differ in few bits, without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.dataset.lookalikes.pair_edges import Edges, Integers
from tasks.dataset.lookalikes.picture_facts import VARIANTS

Words = NDArray[np.uint64]
Keys = NDArray[np.unsignedinteger[Any]]

_BANDS = 4
_BAND_BITS = 16
_CHUNK = 1 << 15
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
        ends = np.cumsum(np.bincount(kept, minlength=_n_keys(keys))).astype(np.int32)
        starts = np.concatenate([[np.int32(0)], ends[:-1]])
        for mask, first in product(_masks(reach), range(0, len(keys), _CHUNK)):
            wanted = keys[first : first + _CHUNK] ^ mask
            begins = starts[wanted]
            counts = ends[wanted] - begins
            asking = np.flatnonzero(counts)
            pieces = np.cumsum(counts[asking]) // _CHUNK
            for queries in np.split(asking, np.flatnonzero(np.diff(pieces)) + 1):
                yield _compared(looks, first + queries, order, begins[queries], counts[queries], reach)


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


def _keys(looks: Words, reach: int) -> Iterable[Keys]:
    """Numbers of every variant of every look; of two hashes within reach, one number is equal but for a mask."""
    words = looks.reshape(-1)
    if reach == 0:
        return [np.unique(words, return_inverse=True)[1].reshape(-1).astype(np.uint32)]
    return (_band(words, band) for band in range(_BANDS))


def _band(words: Words, band: int) -> Keys:
    """Every fourth bit of each word, from the bit `band` on."""
    found = np.zeros(len(words), dtype=np.uint16)
    for place in range(_BAND_BITS):
        bit = words & np.uint64(1 << _BANDS * place + band)
        found |= (bit != 0).astype(np.uint16) << np.uint16(place)
    return found


def _n_keys(keys: Keys) -> int:
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

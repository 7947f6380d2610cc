"""Near duplicates: pairs of pictures whose perceptual hashes differ in few bits, flips and rotations included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.dataset.lookalikes.hash_search import hits, search_reach
from tasks.dataset.lookalikes.pair_edges import Edges, Gathering, Integers, joined
from tasks.dataset.lookalikes.picture_facts import hash_words

MAX_PAIRS = 200_000
"""Beyond so many pairs, only those that hold the clusters together are kept."""
MAX_COMPARISONS = 400_000_000
"""The most comparisons of two hashes; a search that would need more is cut to a smaller distance."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of pictures that look alike."""

    table: pd.DataFrame
    """`first` and `second` (row numbers, first below second), `distance` (bits of 64 that differ) and `variant` (the
    place in `VARIANTS` of what makes the second of the first), sorted by distance, first and second."""
    distance: int
    """The distance that was asked for."""
    reach: int
    """The distance up to which all pairs were looked for."""
    thinned: bool
    """Whether pairs are left out because there were too many: what is left joins the same pictures at every
    distance."""
    unhashed: tuple[int, ...]
    """The rows of pictures too even for a hash, which were compared with none."""


def near_duplicates(
    hashes: Sequence[bytes],
    distance: int,
    *,
    max_pairs: int = MAX_PAIRS,
    max_comparisons: int = MAX_COMPARISONS,
) -> Pairs:
    """Return the pairs of pictures that differ in at most `distance` bits of their hashes in one of eight variants.

    Hashes are looked up by four interleaved bands of 16 bits: of two hashes within the distance, one band differs in a
    quarter of it at most (multi-index hashing: Norouzi, Punjani and Fleet, Fast search in Hamming space with
    multi-index hashing, CVPR 2012). Pictures with the same hashes are looked up once. Where very many pictures look
    alike, `reach` and `thinned` of the result say what was given up.

    Parameters
    ----------
    hashes
        Those of each picture, from `picture_facts`; empty for a picture without any.
    distance
        From 0 to 11 of 64 bits; unrelated pictures differ in about 30.
    max_pairs
        Beyond so many pairs, a minimum spanning forest of them is kept.
    max_comparisons
        Beyond so many comparisons, the search reaches less far.
    """
    rows, words = hash_words(hashes)
    unhashed = tuple(np.setdiff1d(np.arange(len(hashes)), rows).tolist())
    looks, look_of = np.unique(words, axis=0, return_inverse=True)
    reach = search_reach(looks, distance, max_comparisons) if len(rows) else distance
    gathering = Gathering(len(looks), reach, max_pairs)
    for edges in hits(looks, reach) if len(rows) else ():
        gathering.add(edges)
    pairs, thinned = _between_pictures(gathering.edges(), look_of.reshape(-1), max_pairs)
    table = pd.DataFrame(pairs._replace(first=rows[pairs.first], second=rows[pairs.second])._asdict())
    table = table.sort_values(["distance", "first", "second"], ignore_index=True)
    return Pairs(table, distance, reach, thinned or gathering.thinned, unhashed)


def _between_pictures(found: Edges, look_of: Integers, max_pairs: int) -> tuple[Edges, bool]:
    """Pairs of looks as pairs of pictures, and the pairs of pictures with one look; and whether thinned."""
    order = np.argsort(look_of, kind="stable").astype(np.int64)
    sizes = np.bincount(look_of)
    starts = np.cumsum(sizes) - sizes
    n_pairs = int((sizes[found.first] * sizes[found.second]).sum() + (sizes * (sizes - 1) // 2).sum())
    thinned = n_pairs > max_pairs
    if thinned:
        first_alike = order[starts[look_of[order]]]
        later = order != first_alike
        same = _same_look(first_alike[later], order[later])
        across = found._replace(first=order[starts[found.first]], second=order[starts[found.second]])
    else:
        same = _same_look(
            *_every_two([order[starts[look] : starts[look] + sizes[look]] for look in np.flatnonzero(sizes > 1)])
        )
        across = _crossed(found, order, starts, sizes)
    return joined(same, across).ordered(), thinned


def _same_look(first: Integers, second: Integers) -> Edges:
    nothing = np.zeros(len(first), dtype=np.int64)
    return Edges(first, second, nothing, nothing)


def _every_two(sets: list[Integers]) -> tuple[Integers, Integers]:
    """First and second of every pair within the sets, each of several."""
    pairs = [np.stack([rows[place] for place in np.triu_indices(len(rows), 1)]) for rows in sets]
    first, second = np.concatenate([np.empty((2, 0), dtype=np.int64), *pairs], axis=1)
    return first, second


def _crossed(found: Edges, order: Integers, starts: Integers, sizes: Integers) -> Edges:
    """Every picture of the first look with every picture of the second."""
    counts = sizes[found.first] * sizes[found.second]
    edges = found.at(np.repeat(np.arange(len(counts)), counts))
    within = np.arange(len(edges.first)) - np.repeat(np.cumsum(counts) - counts, counts)
    one, other = np.divmod(within, sizes[edges.second])
    return edges._replace(first=order[starts[edges.first] + one], second=order[starts[edges.second] + other])

"""Pairs as arrays: in order, each once, and thinned to a spanning forest where there are too many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.dataset.lookalikes.picture_facts import INVERSE

Integers = NDArray[np.int64]

_WAITING = 1 << 15
"""So many pairs are gathered before those found repeatedly are dropped; more where more are kept."""

_INVERSE = np.array(INVERSE, dtype=np.int64)


class Edges(NamedTuple):
    """Pairs in four columns, each of shape (n_pairs,)."""

    first: Integers
    second: Integers
    distance: Integers
    variant: Integers
    """What makes the second of the first, as a place in `VARIANTS`."""

    def at(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Edges:
        """Return the pairs at some places, or where a mask is true."""
        return Edges(*(column[places] for column in self))

    def ordered(self) -> Edges:
        """Return the same pairs with the smaller number first; the variant then goes the other way."""
        return Edges(
            np.minimum(self.first, self.second),
            np.maximum(self.first, self.second),
            self.distance,
            np.where(self.first > self.second, _INVERSE[self.variant], self.variant),
        )


def no_edges() -> Edges:
    """Return a table without pairs."""
    return Edges(*(np.empty(0, dtype=np.int64) for _ in Edges._fields))


def joined(*parts: Edges) -> Edges:
    """Return the pairs of all parts, one part after the other."""
    return Edges(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Gathering:
    """Gathers pairs that come in pieces and repeatedly; beyond a number, it keeps a minimum spanning forest.

    At every distance, the forest joins the same nodes as all pairs do, with fewer pairs than there are nodes.

    Parameters
    ----------
    n_nodes
        The nodes are 0 to n_nodes - 1.
    reach
        The largest distance of a pair.
    max_pairs
        Beyond so many pairs, the forest is kept.
    """

    def __init__(self, n_nodes: int, reach: int, max_pairs: int) -> None:
        self.thinned = False
        self._n_nodes, self._reach, self._max_pairs = n_nodes, reach, max_pairs
        self._parts, self._n_waiting = [no_edges()], 0
        self._cluster_at: Integers | None = None

    def add(self, edges: Edges) -> None:
        """Take pairs in, the smaller number first."""
        if self._cluster_at is not None:
            apart = self._cluster_at[edges.distance, edges.first] != self._cluster_at[edges.distance, edges.second]
            edges = edges.at(apart)
        self._parts.append(edges)
        self._n_waiting += len(edges.first)
        if self._n_waiting > max(_WAITING, 2 * len(self._parts[0].first)):
            self._reduce()

    def edges(self) -> Edges:
        """Return each pair once, at its least distance, or the forest of them."""
        self._reduce()
        return self._parts[0]

    def _reduce(self) -> None:
        edges = joined(*self._parts)
        key = edges.first * self._n_nodes + edges.second
        order = np.lexsort((edges.variant, edges.distance, key))
        edges = edges.at(order[np.diff(key[order], prepend=-1) > 0])
        if self.thinned or len(edges.first) > self._max_pairs:
            self.thinned = True
            edges = self._forest(edges)
        self._parts, self._n_waiting = [edges], 0

    def _forest(self, edges: Edges) -> Edges:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

        n = self._n_nodes
        graph = coo_array((edges.distance + 1, (edges.first, edges.second)), shape=(n, n)).tocsr()
        tree = minimum_spanning_tree(graph).tocoo()
        forest = edges.at(np.isin(edges.first * n + edges.second, tree.row.astype(np.int64) * n + tree.col))
        levels = []
        for distance in range(self._reach + 1):
            near = forest.at(forest.distance <= distance)
            graph = coo_array((np.ones(len(near.first)), (near.first, near.second)), shape=(n, n))
            levels.append(connected_components(graph, directed=False)[1])
        self._cluster_at = np.array(levels, dtype=np.int64)
        return forest

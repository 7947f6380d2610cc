"""Whether both sides give the same results."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tests.benchmarks.registry import Disagree


def compare(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], tolerances: Mapping[str, float]) -> str:
    """Give the largest differences in words.

    Raises
    ------
    Disagree
        One is beyond its tolerance, is zero throughout, or has another shape than the other side's.
    """
    said = []
    for name, tolerance in tolerances.items():
        a, b = np.asarray(ours[name]), np.asarray(theirs[name])
        if not np.any(b):
            raise Disagree(f"{name}: there is nothing to compare, they are all zero")
        if a.shape != b.shape:
            raise Disagree(f"{name}: shapes {a.shape} and {b.shape}")
        difference = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))
        if not difference <= tolerance:
            raise Disagree(f"{name} differ by {difference:.2g}, allowed is {tolerance:g}")
        said.append(f"{name} to {difference:.1e} (allowed {tolerance:g})")
    return ", ".join(said)


def scaled(maps: np.ndarray) -> np.ndarray:
    """Divide each map by its maximum, as the studies do; zeros stay zeros."""
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0)

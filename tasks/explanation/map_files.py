"""Maps as files: what a fold run logs, and what pages, mean maps and agreement are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.dataset.pixels.shaping import lay_back

LARGEST_SIDE = 64
"""Rows and columns of a stored map at most; larger ones are brought to it."""


@dataclass(frozen=True)
class StoredMaps:
    """One method's raw maps of some images.

    Attributes
    ----------
    method : str
        The method's name.
    layer : str
        The layer that was mapped; empty where the method needs none.
    paths : ndarray of shape (n,), str
        The images, by the manifest's `path`.
    classes : ndarray of shape (n,), int64
        The class that each map is for.
    maps : ndarray of shape (n, h, w), float32
        Raw maps over the network's square, signs kept.
    differences, gaps : ndarray of shape (n,), float64, or None
        For integrated gradients: the difference of scores that the shares are to add up to, and how far they miss it
        (`tasks.explanation.integrated.Integrated`).
    """

    method: str
    layer: str
    paths: np.ndarray
    classes: np.ndarray
    maps: np.ndarray
    differences: np.ndarray | None = None
    gaps: np.ndarray | None = None

    def places(self, paths: np.ndarray) -> np.ndarray:
        """Give where these images stand, -1 for one that has no map."""
        known = {path: place for place, path in enumerate(self.paths.tolist())}
        return np.array([known.get(path, -1) for path in paths], dtype=np.int64)


def write_maps(path: Path, stored: StoredMaps) -> None:
    """Write maps as an `.npz` file: float16 shares of each map's largest absolute value, beside these as float32.

    Maps of more than `LARGEST_SIDE` rows or columns are brought to that many. A map with a NaN or an infinity is kept
    as zeros.
    """
    maps = np.asarray(stored.maps, dtype=np.float32)
    maps = np.nan_to_num(np.stack([small_map(one) for one in maps]) if len(maps) else maps, nan=0, posinf=0, neginf=0)
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True, initial=0).astype(np.float32)
    shares = np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "method": np.array(stored.method),
        "layer": np.array(stored.layer),
        "paths": np.asarray(stored.paths, dtype=str),
        "classes": np.asarray(stored.classes, dtype=np.int64),
        "shares": shares.astype(np.float16),
        "largest": largest[:, 0, 0],
        "differences": stored.differences,
        "gaps": stored.gaps,
    }
    known: dict[str, Any] = {name: values for name, values in arrays.items() if values is not None}
    np.savez_compressed(path, **known)


def read_maps(path: Path) -> StoredMaps:
    """Read what `write_maps` has written; values are true to 1/2000 of a map's largest."""
    with np.load(path, allow_pickle=False) as file:
        maps = file["shares"].astype(np.float32) * file["largest"][:, None, None]
        given = [file.get(name) for name in ("differences", "gaps")]
        return StoredMaps(str(file["method"]), str(file["layer"]), file["paths"], file["classes"], maps, *given)


def small_map(heat: np.ndarray) -> np.ndarray:
    """Give a map of at most `LARGEST_SIDE` rows and columns; one that is no larger as it is.

    Parameters
    ----------
    heat : ndarray of shape (h, w)
        A map over the network's square.
    """
    height, width = (min(side, LARGEST_SIDE) for side in heat.shape)
    return heat if (height, width) == heat.shape else lay_back(heat, height, width)

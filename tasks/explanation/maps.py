"""Class activation maps: bring them to one scale, and count those that show nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHOWS_NOTHING = "shows nothing"
"""What is said of a map without a positive value."""

SAME_EVERYWHERE = "the same everywhere"
"""What is said of a map of one value, such as that of a layer with a single place."""

_ONE_SHADE = 1 / 256


@dataclass(frozen=True)
class BlankMaps:
    """How many maps of a batch show nothing, and why."""

    no_positive: int
    not_finite: int


def normalise(maps: np.ndarray, brightest: float = 100) -> np.ndarray:
    """Cut off the maps' negative values and divide each by its own maximum; zeros where there is none.

    Parameters
    ----------
    maps : ndarray of shape (n, h, w)
        Raw maps. One without a positive value, or with a NaN or an infinity, becomes zeros; `count_blank` counts them.
    brightest : float
        The percentile of a map's places that becomes 1, and all above it too; 100: the maximum. Where fewer places
        have a value at all, the maximum is taken.

    Returns
    -------
    ndarray of shape (n, h, w), float32, 0 to 1
        The maximum of each map is 1, or 0 where it shows nothing.
    """
    maps = np.asarray(maps, dtype=np.float32)
    usable = np.isfinite(maps).all(axis=(1, 2), keepdims=True)
    positive = np.maximum(np.where(usable, maps, 0), 0)
    highest = positive.max(axis=(1, 2), keepdims=True, initial=0)
    if brightest < 100 and positive.size:
        level = np.percentile(positive, brightest, axis=(1, 2), keepdims=True).astype(np.float32)
        highest = np.where(level > 0, level, highest)
        positive = np.minimum(positive, highest)
    scaled: np.ndarray = np.divide(positive, highest, out=np.zeros_like(positive), where=highest > 0)
    return scaled


def count_blank(maps: np.ndarray) -> BlankMaps:
    """Count the maps that have no positive value, and those with a NaN or an infinity.

    Parameters
    ----------
    maps : ndarray of shape (n, h, w)
        Raw maps, before `normalise`.
    """
    finite = np.isfinite(maps).all(axis=(1, 2))
    positive = (np.asarray(maps) > 0).any(axis=(1, 2))
    return BlankMaps(no_positive=int((finite & ~positive).sum()), not_finite=int((~finite).sum()))


def remark(heat: np.ndarray) -> str:
    """Say of a map where no place stands out that it is so; an empty text for any other.

    Parameters
    ----------
    heat : ndarray of shape (h, w), 0 to 1
        As `normalise` gives it.
    """
    highest, lowest = float(heat.max(initial=0)), float(heat.min(initial=1))
    if highest <= 0:
        return SHOWS_NOTHING
    return SAME_EVERYWHERE if highest - lowest < _ONE_SHADE else ""

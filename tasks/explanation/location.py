"""Where in the picture the heat lies: inside given regions, or in the border and the corners, where shortcuts show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.dataset.pixels.shaping import STRETCHED, Shaping, lay_back
from tasks.explanation.intervals import mean_interval
from tasks.explanation.maps import normalise

BORDER = 0.1
"""Width of the border, as a share of the picture's height and of its width."""
CORNER = 0.2
"""Height and width of a corner, as shares of the picture's."""

CORNERS = ("top left", "top right", "bottom left", "bottom right")
PLACES = ("border", "corner")


@dataclass(frozen=True)
class Inside:
    """How well maps hit the regions that people gave, one value an image; NaN where a map shows nothing.

    Attributes
    ----------
    hit : ndarray of shape (n,)
        The pointing game: the share of the map's highest places that lie inside, which is 0 or 1 but for ties.
    heat : ndarray of shape (n,), 0 to 1
        The share of the map's heat that lies inside.
    area : ndarray of shape (n,), 0 to 1
        The share of the picture that is inside, which a map that knows nothing has on average.
    """

    hit: np.ndarray
    heat: np.ndarray
    area: np.ndarray


def inside(
    maps: np.ndarray, masks: Sequence[np.ndarray], *, how: Shaping = STRETCHED, tolerance: float = 0.0
) -> Inside:
    """Give how well maps hit regions.

    The pointing game is that of Zhang et al. (Top-down neural attention by excitation backprop, 2018, section 4.2),
    whose tolerance was 15 pixels; the share of heat inside is the energy-based one of Wang et al. (Score-CAM, 2020).

    Parameters
    ----------
    maps : ndarray of shape (n, h, w)
        Over the network's whole square in any resolution, raw or scaled; negative values do not count.
    masks : sequence of n ndarrays of shape (height, width), bool
        Where the regions are, each of its own picture's size.
    how : Shaping
        The steps from the pictures to the squares.
    tolerance : float
        How far from a region a place still counts as a hit, in pixels of the picture.

    Raises
    ------
    ValueError
        If there are not as many masks as maps.
    """
    found = np.full((3, len(maps)), np.nan)
    for place, (small, mask) in enumerate(zip(normalise(maps), masks, strict=True)):
        heat = lay_back(small, mask.shape[0], mask.shape[1], how)
        found[2, place] = mask.mean()
        if heat.any():
            found[0, place] = _widened(mask, tolerance)[heat == heat.max()].mean()
            found[1, place] = heat[mask].sum(dtype=np.float64) / heat.sum(dtype=np.float64)
    return Inside(*found)


def _widened(mask: np.ndarray, tolerance: float) -> np.ndarray:
    if tolerance <= 0 or not mask.any():
        return mask
    from scipy.ndimage import distance_transform_edt

    near: np.ndarray = distance_transform_edt(~mask) <= tolerance
    return near


def edge_shares(maps: np.ndarray, *, border: float = BORDER, corner: float = CORNER) -> pd.DataFrame:
    """Give the share of each map's heat that lies in the border, and in each corner.

    Parameters
    ----------
    maps : ndarray of shape (n, h, w)
        Over what the network saw of the pictures, in any resolution, raw or scaled; negative values do not count. A
        cell of the map counts by the share of it that lies in the border. That is the network's square, but where
        `pad` put bars around the pictures: lay these maps back first.
    border, corner : float
        Width of the border and side of the corners, as shares of height and width; above 0, at most 0.5.

    Returns
    -------
    DataFrame
        One row a map: `border`, `corner` (all four), and one column each of `CORNERS`; 0 to 1, NaN where the map shows
        nothing. Even heat gives `area_shares`.

    Raises
    ------
    ValueError
        If a share is out of its range.
    """
    if not 0 < border <= 0.5 or not 0 < corner <= 0.5:
        raise ValueError(f"a border and a corner take above 0 and at most half of a side, got {border} and {corner}")
    heat = normalise(maps).astype(np.float64)
    total = heat.sum(axis=(1, 2))
    (top, bottom), (left, right) = (_band_ends(size, corner) for size in heat.shape[1:])
    inner = [1 - sum(_band_ends(size, border)) for size in heat.shape[1:]]
    sums = {"border": total - np.einsum("nhw,h,w->n", heat, *inner)}
    corners = [(top, left), (top, right), (bottom, left), (bottom, right)]
    parts = {name: np.einsum("nhw,h,w->n", heat, *bands) for name, bands in zip(CORNERS, corners, strict=True)}
    sums |= {"corner": np.sum(list(parts.values()), axis=0)} | parts
    shares = {
        name: np.divide(part, total, out=np.full_like(total, np.nan), where=total > 0) for name, part in sums.items()
    }
    return pd.DataFrame(shares)


def area_shares(border: float = BORDER, corner: float = CORNER) -> dict[str, float]:
    """Give the share of the picture that is `border`, and that is `corner`."""
    return {"border": 1 - (1 - 2 * border) ** 2, "corner": 4 * corner**2}


def _band_ends(size: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Give how much of each cell along a side lies in its first and in its last `share`, two of shape (size,)."""
    first = np.clip(share * size - np.arange(size), 0, 1)
    return first, first[::-1]


def location_table(
    shares: pd.DataFrame,
    labels: Sequence[str] | np.ndarray,
    right: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Give the mean shares of heat in border and corners, by class and by right or wrong.

    Parameters
    ----------
    shares : DataFrame
        Of `edge_shares`, one row an image.
    labels : sequence of str of length n
        The true class of each image.
    right : ndarray of shape (n,), bool
        Whether its prediction is right.
    groups : ndarray of shape (n,) or None
        What images belong together, for the intervals.
    seed : int
        For the intervals.

    Returns
    -------
    DataFrame
        One row a class and outcome that has images: `class`, `outcome` (`all`, `right`, `wrong`), `n_images`, and
        `border`, `border_low`, `border_high`, `corner`, `corner_low`, `corner_high` (means and their 95 % intervals).
    """
    labels, right = np.asarray(labels, dtype=object), np.asarray(right, dtype=bool)
    rows = []
    for label in dict.fromkeys(sorted(labels)):
        for outcome, chosen in (("all", np.ones_like(right)), ("right", right), ("wrong", ~right)):
            part = (labels == label) & chosen
            if not part.any():
                continue
            row: dict[str, object] = {"class": label, "outcome": outcome, "n_images": int(part.sum())}
            for place in PLACES:
                mean = mean_interval(shares[place].to_numpy()[part], taken(groups, part), seed=seed)
                row |= {place: mean.mean, f"{place}_low": mean.low, f"{place}_high": mean.high}
            rows.append(row)
    return pd.DataFrame(rows)


def taken(groups: np.ndarray | None, part: np.ndarray) -> np.ndarray | None:
    """Give the groups of some of the images; None where there are no groups."""
    return None if groups is None else np.asarray(groups)[part]

"""How far maps of one image agree: of several models, and under changes of the picture that change nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from tasks.dataset.pixels.shaping import lay_back
from tasks.explanation.intervals import Interval, mean_interval

Method = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Gives the probabilities and the raw maps of images of shape (n, h, w, 3), 0 to 255, for targets of shape (n,)."""

_DIRECTIONS = np.array([(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)])


@dataclass(frozen=True)
class Agreement:
    """How far several maps of each image agree.

    Attributes
    ----------
    values : ndarray of shape (n_images,)
        The mean over all pairs of the rank correlation, -1 to 1; NaN for an image that no model has a map of.
    mean : Interval
        Over the images.
    pairs : DataFrame
        One row a pair: `first`, `second` (names), `mean`, `low`, `high` (95 %, over the images), `n_images` (that at
        least one of the two has a map of).
    """

    values: np.ndarray
    mean: Interval
    pairs: pd.DataFrame


@dataclass(frozen=True)
class Steadiness:
    """How far the maps stay as they are when the pictures are changed a little.

    Attributes
    ----------
    values : ndarray of shape (n_images,)
        The mean over the changes of the rank correlation with the map of the unchanged picture, -1 to 1.
    mean : Interval
        Over the images.
    passes : int
        How many maps were made.
    """

    values: np.ndarray
    mean: Interval
    passes: int


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give Spearman's rank correlation of each pair of maps, over their places; equal values share their mean rank.

    Parameters
    ----------
    first, second : ndarray of shape (n, h, w)
        Maps over the same square, raw or scaled: a factor above 0 changes nothing. Where their resolutions differ, both
        are brought bilinearly to the smaller number of rows and of columns.

    Returns
    -------
    ndarray of shape (n,), float64, -1 to 1
        0 where one of the two maps is the same everywhere, or not finite, for it says nothing about what the other one
        says; NaN where both are.

    Raises
    ------
    ValueError
        If there are not as many maps of one as of the other.
    """
    if first.ndim != 3 or second.ndim != 3 or len(first) != len(second):
        raise ValueError(f"expected as many maps (n, h, w) on both sides, got {first.shape} and {second.shape}")
    if not len(first):
        return np.zeros(0)
    height, width = np.minimum(first.shape[1:], second.shape[1:])
    one, other = (_unit_ranks(_resized(maps, int(height), int(width))) for maps in (first, second))
    blank = ~one.any(axis=1) & ~other.any(axis=1)
    return np.where(blank, np.nan, np.clip((one * other).sum(axis=1), -1, 1))


def agreement(maps: Mapping[str, np.ndarray], *, groups: np.ndarray | None = None, seed: int = 0) -> Agreement:
    """Give how far the maps of several models agree: of the folds for held-out images, or of the backbones.

    Parameters
    ----------
    maps : mapping of ndarray of shape (n_images, h, w)
        By the model's name, its maps over the same squares, in any resolution, of the same images and targets in the
        same order; two models or more.
    groups : ndarray of shape (n_images,) or None
        What images belong together, for the intervals.
    seed : int
        For the intervals.

    Raises
    ------
    ValueError
        If there are fewer than two models, or their numbers of maps differ.
    """
    names = list(combinations(maps, 2))
    if not names:
        raise ValueError("agreement is between two models or more")
    correlations = [rank_correlation(maps[first], maps[second]) for first, second in names]
    rows = []
    for (first, second), found in zip(names, correlations, strict=True):
        mean = mean_interval(found, groups, seed=seed)
        ends = {"mean": mean.mean, "low": mean.low, "high": mean.high}
        rows.append({"first": first, "second": second} | ends | {"n_images": int((~np.isnan(found)).sum())})
    values = _row_means(np.column_stack(correlations))
    return Agreement(values, mean_interval(values, groups, seed=seed), pd.DataFrame(rows))


def under_noise(
    method: Method,
    images: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    *,
    share: float = 0.02,
    draws: int = 2,
    batch: int = 32,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Steadiness:
    """Give how far the maps stay when normal noise lies on the pictures.

    Parameters
    ----------
    method : callable
        Makes maps.
    images : ndarray of shape (n, h, w, 3), 0 to 255
        What the model sees, RGB.
    targets : ndarray of shape (n,), int
        The class that each map is for, with and without noise.
    maps : ndarray of shape (n, h', w')
        Of the unchanged pictures.
    share : float
        The noise's standard deviation, as a share of 255; what leaves 0 to 255 is cut off.
    draws : int
        How many times, each with other noise.
    batch : int
        How many pictures the method is given at once.
    groups : ndarray of shape (n,) or None
        What images belong together, for the interval.
    seed : int
        The same seed gives the same noise, whatever `batch` is.
    """
    correlations = np.empty((len(images), draws))
    for draw in range(draws):
        for start in range(0, len(images), batch):
            part = slice(start, min(start + batch, len(images)))
            noisy = np.stack(
                [
                    np.random.default_rng([seed, draw, number]).standard_normal(images.shape[1:], dtype=np.float32)
                    for number in range(part.start, part.stop)
                ]
            )
            noisy *= share * 255
            noisy += images[part]
            np.clip(noisy, 0, 255, out=noisy)
            correlations[part, draw] = rank_correlation(maps[part], method(noisy, targets[part])[1])
    return _steadiness(correlations, groups, seed)


def under_shift(
    method: Method,
    images: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    *,
    share: float = 0.04,
    draws: int = 2,
    batch: int = 32,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Steadiness:
    """Give how far the maps move along when the pictures are shifted.

    A picture is shifted into one of eight directions, its edge repeated; its map is laid over the square, shifted back,
    and compared with the unchanged picture's where both show the same part.

    Parameters
    ----------
    method, images, targets, maps, batch, groups
        As in `under_noise`.
    share : float
        How far, along each axis, as a share of its length, but 1 pixel at least; below 1.
    draws : int
        How many times, each in another direction; 8 at most.
    seed : int
        The same seed gives the same directions, whatever `batch` is.
    """
    height, width = images.shape[1:3]
    far = np.maximum(1, np.rint(share * np.array([height, width]))).astype(int)
    directions = np.array([np.random.default_rng([seed, number]).permutation(8) for number in range(len(images))])
    correlations = np.empty((len(images), draws))
    for draw in range(draws):
        shifts = _DIRECTIONS[directions[:, draw]] * far
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            moved = np.stack([_shifted(image, shift) for image, shift in zip(images[part], shifts[part], strict=True)])
            found = method(moved.astype(np.float32, copy=False), targets[part])[1]
            for number, (still, after) in enumerate(zip(maps[part], found, strict=True), start):
                pair = _same_part(lay_back(still, height, width), lay_back(after, height, width), shifts[number])
                correlations[number, draw] = rank_correlation(*(heat[None] for heat in pair))[0]
    return _steadiness(correlations, groups, seed)


def _shifted(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Give the picture moved down and right by `shift` pixels, its edge repeated behind it."""
    height, width = image.shape[:2]
    (top, bottom), (left, right) = behind = [(max(0, int(far)), max(0, -int(far))) for far in shift]
    stays = image[bottom : height - top, right : width - left]
    return np.pad(stays, [*behind, (0, 0)], mode="edge")


def _same_part(still: np.ndarray, after: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give what the unchanged and the shifted picture's map say of the part that both show."""
    down, across = shift
    height, width = still.shape
    first = still[max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)]
    second = after[max(0, down) : height - max(0, -down), max(0, across) : width - max(0, -across)]
    return first, second


def _steadiness(correlations: np.ndarray, groups: np.ndarray | None, seed: int) -> Steadiness:
    values = _row_means(correlations)
    return Steadiness(values, mean_interval(values, groups, seed=seed), correlations.size)


def _row_means(correlations: np.ndarray) -> np.ndarray:
    """Give the mean of each row without its NaN, NaN where there is nothing else."""
    there = ~np.isnan(correlations)
    sums, n = np.where(there, correlations, 0).sum(axis=1), there.sum(axis=1)
    means: np.ndarray = np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0)
    return means


def _resized(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    finite = np.isfinite(maps).all(axis=(1, 2), keepdims=True)
    usable = np.where(finite, maps, 0)
    if maps.shape[1:] == (height, width):
        return usable
    return np.stack([lay_back(heat, height, width) for heat in usable])


def _unit_ranks(maps: np.ndarray) -> np.ndarray:
    """Give the ranks less their mean, divided by their length, of shape (n, h * w); zeros where all are equal."""
    ranks = _mean_ranks(maps.reshape(len(maps), -1))
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    scaled: np.ndarray = np.divide(ranks, lengths, out=np.zeros_like(ranks), where=lengths > 0)
    return scaled


def _mean_ranks(rows: np.ndarray) -> np.ndarray:
    """Give each value's place in its row's order, from 0; equal values share the mean of their places.

    That is scipy's `rankdata` less 1, which takes four times as long, because it sorts stably.
    """
    ranks = np.empty(rows.shape)
    for own, row, order in zip(ranks, rows, np.argsort(rows, axis=1), strict=True):
        ahead = row[order]
        begins = np.flatnonzero(np.append(True, ahead[1:] != ahead[:-1]))
        alike = np.diff(np.append(begins, len(row)))
        own[order] = np.repeat(begins + (alike - 1) / 2, alike)
    return ranks

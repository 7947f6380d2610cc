"""Where a backbone looks on average: the mean map of each class, of right and of wrong predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tasks.dataset.pixels.shaping import lay_back
from tasks.explanation.drawing import (
    FRAME,
    HEADER_HEIGHT,
    INK,
    MARKS,
    NARROWEST,
    PAPER,
    QUIET,
    fitted,
    font,
    framed,
    header,
    written,
)
from tasks.explanation.overlays import colour_table

_MARGIN, _GAP, _FOOT, _LABEL, _HEADING = 28, 10, 22, 150, 30
_OUTCOMES = (True, False)


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """Mean maps by class, of images that are predicted right and of those that are not.

    `right` and `wrong` are of shape (n_classes, h, w), float64, 0 to 1, zeros where there is no image; `n_right` and
    `n_wrong`, of shape (n_classes,), say over how many images the means are.
    """

    right: np.ndarray
    wrong: np.ndarray
    n_right: np.ndarray
    n_wrong: np.ndarray

    def of(self, good: bool) -> tuple[np.ndarray, np.ndarray]:
        """Give the means and the counts of the right predictions, or of the wrong ones."""
        return (self.right, self.n_right) if good else (self.wrong, self.n_wrong)


def mean_maps(maps: np.ndarray, classes: np.ndarray, right: np.ndarray, n_classes: int) -> MeanMaps:
    """Average maps by class, right and wrong apart.

    Parameters
    ----------
    maps : ndarray of shape (n, h, w), 0 to 1
        Maps over the network's square, as `normalise` gives them. Maps that show nothing count as zeros.
    classes : ndarray of shape (n,), int
        The class that each image counts for: the true one, or the label that the map is for where an image has
        several.
    right : ndarray of shape (n,), bool
        Whether each prediction is right.
    n_classes : int
        Number of classes.

    Raises
    ------
    ValueError
        If the arrays do not fit together, a class is not from 0 to `n_classes - 1`, or a map is not from 0 to 1.
    """
    maps, classes, good = np.asarray(maps), np.asarray(classes), np.asarray(right, dtype=bool)
    if maps.ndim != 3 or classes.shape != (len(maps),) or good.shape != (len(maps),):
        raise ValueError(f"maps {maps.shape}, classes {classes.shape} and marks {good.shape} do not fit together")
    if len(maps) and not (classes.min() >= 0 and classes.max() < n_classes):
        raise ValueError(f"classes must be from 0 to {n_classes - 1}")
    if len(maps) and not (maps.min() >= 0 and maps.max() <= 1):
        raise ValueError("maps must be from 0 to 1")
    means, counts = {}, {}
    for outcome in _OUTCOMES:
        chosen = [np.flatnonzero((classes == number) & (good == outcome)) for number in range(n_classes)]
        counts[outcome] = np.array([len(rows) for rows in chosen])
        means[outcome] = np.stack([maps[rows].sum(axis=0, dtype=np.float64) / max(len(rows), 1) for rows in chosen])
    return MeanMaps(means[True], means[False], counts[True], counts[False])


def pooled_mean_maps(parts: Sequence[MeanMaps]) -> MeanMaps:
    """Give the mean maps of several parts' images taken together.

    Parameters
    ----------
    parts : sequence of MeanMaps
        One or more, of the same classes and with maps of one size; each image is in one of them.

    Raises
    ------
    ValueError
        If there is no part.
    """
    if not parts:
        raise ValueError("mean maps of nothing cannot be put together")
    means, counts = {}, {}
    for outcome in _OUTCOMES:
        numbers = np.stack([part.of(outcome)[1] for part in parts])
        sums = sum(part.of(outcome)[0] * n[:, None, None] for part, n in zip(parts, numbers, strict=True))
        counts[outcome] = numbers.sum(axis=0)
        means[outcome] = np.asarray(sums) / np.maximum(counts[outcome], 1)[:, None, None]
    return MeanMaps(means[True], means[False], counts[True], counts[False])


def mean_map_figure(
    by_backbone: Mapping[str, MeanMaps],
    classes: Sequence[str],
    *,
    title: str,
    one_scale: bool = True,
    colormap: str = "inferno",
    side: int = 132,
    max_classes: int = 40,
) -> Image.Image:
    """Draw a row a class, and for each backbone the mean map of its right and of its wrong predictions, with counts.

    Tiles of one scale go from 0 to its highest mean, so that a faint tile is a class whose maps agree little.

    Parameters
    ----------
    by_backbone : mapping of str to MeanMaps
        By backbone, or by method of one backbone, one or more; each of the same classes, and with maps of any size.
    classes : sequence of str
        Their names.
    title : str
        What the figure shows.
    one_scale : bool
        Whether all tiles share one scale, or each backbone or method has its own.
    colormap : str
        The colour map.
    side : int
        Height and width of a tile in pixels.
    max_classes : int
        The most rows: where there are more classes, those with the most images are drawn.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    InputError
        If there is no such colour map.
    ValueError
        If there is no backbone, or one has another number of classes.
    """
    if not by_backbone or any(len(own.right) != len(classes) for own in by_backbone.values()):
        raise ValueError(f"the figure needs mean maps of {len(classes)} classes for each of one or more backbones")
    rows = _largest(by_backbone, max_classes)
    tops = {
        name: max(float(own.of(good)[0][rows].max(initial=0)) for good in _OUTCOMES)
        for name, own in by_backbone.items()
    }
    highest = dict.fromkeys(tops, max(tops.values())) if one_scale else tops
    step, block = side + _GAP, 2 * (side + _GAP) + _GAP
    top = _MARGIN + HEADER_HEIGHT
    width = max(2 * _MARGIN + _LABEL + len(by_backbone) * block - 2 * _GAP, NARROWEST)
    height = top + 2 * _HEADING + len(rows) * (step + _FOOT) + _MARGIN
    figure = Image.new("RGB", (width, height), PAPER)
    some = "" if len(rows) == len(classes) else f" · {len(rows)} of {len(classes)} classes"
    scale = f"high is {max(tops.values()):.2f}, in all tiles" if one_scale else "high is said above each method’s maps"
    header(figure, title, f"low is 0, {scale}{some}", colormap, _MARGIN)
    colours = colour_table(colormap)
    for place, (name, own) in enumerate(by_backbone.items()):
        left = _MARGIN + _LABEL + place * block
        heading = name if one_scale else f"{name}, high is {highest[name]:.2f}"
        written(figure, (left, top + 12), heading, block - 2 * _GAP, size=15)
        for column, good in enumerate(_OUTCOMES):
            x, (means, counts) = left + column * step, own.of(good)
            _heading(figure, x, top + _HEADING + 8, good)
            for row, number in enumerate(rows):
                y = top + 2 * _HEADING + row * (step + _FOOT)
                heat = means[number] / (highest[name] or 1)
                _draw(figure, (x, y), heat if counts[number] else None, int(counts[number]), good, colours, side)
    for row, number in enumerate(rows):
        middle = top + 2 * _HEADING + row * (step + _FOOT) + side // 2
        written(figure, (_MARGIN, middle), classes[number], _LABEL - _GAP, size=15)
    return figure


def _largest(by_backbone: Mapping[str, MeanMaps], most: int) -> np.ndarray:
    """Give the classes with the most images, in the order of the classes."""
    totals = sum(own.n_right + own.n_wrong for own in by_backbone.values())
    return np.sort(np.argsort(-np.asarray(totals), kind="stable")[:most])


def _heading(figure: Image.Image, left: int, middle: int, good: bool) -> None:
    sign, word, colour = MARKS[good]
    ImageDraw.Draw(figure).text((left, middle), f"{sign} {word}", font=font(14, bold=True), fill=colour, anchor="lm")


def _draw(
    figure: Image.Image,
    at: tuple[int, int],
    heat: np.ndarray | None,
    count: int,
    good: bool,
    colours: np.ndarray,
    side: int,
) -> None:
    inner = side - 2 * FRAME
    picture = None
    if heat is not None:
        picture = colours[np.clip(256 * lay_back(heat, inner, inner), 0, 255).astype(np.uint8)]
    figure.paste(framed(picture, side, None if heat is None else good), at)
    told = f"{count} image{'' if count == 1 else 's'}" if count else "none"
    told += ", all blank" if heat is not None and not heat.any() else _if_flat(heat)
    ink = INK if count else QUIET
    below = at[0], at[1] + side + 12
    ImageDraw.Draw(figure).text(below, fitted(told, font(13), side), font=font(13), fill=ink, anchor="lm")


def _if_flat(heat: np.ndarray | None) -> str:
    return ", flat" if heat is not None and heat.max() - heat.min() < 1 / 256 else ""

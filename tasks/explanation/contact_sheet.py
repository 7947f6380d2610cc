"""Contact sheets: many explained images on one picture, of one backbone or of several side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tasks.explanation.drawing import (
    HAIR,
    HEADER_HEIGHT,
    MARKS,
    NARROWEST,
    PAPER,
    QUIET,
    fitted,
    font,
    framed,
    header,
    mark,
    written,
)

_MARGIN = 28
_GAP = 12
_TEXT_WIDTH = 236
_TEXT_HEIGHT = 136
_LABEL_AT = 86
_HEADING = 30


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One explained image.

    `image` is the original picture and `overlay` the same with its map, both uint8 RGB of shape (h, w, 3) and of any
    size. `true` and `predicted` are labels in the order of the classes, one or more. `probability` (0 to 1) is that of
    the label that the map is for: `explained`, or the predicted one where that is None.
    """

    image: np.ndarray
    overlay: np.ndarray
    name: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: float
    fold: int | None = None
    explained: str | None = None

    @property
    def right(self) -> bool:
        """Whether the predicted labels are the true ones."""
        return self.true == self.predicted

    @property
    def certainty(self) -> str:
        """The probability in words, after the label that is explained where that is not the predicted one."""
        percent = _percent(self.probability)
        return percent if self.explained is None else f"{self.explained} · {percent}"


def contact_sheet(
    rows: Sequence[SheetRow],
    *,
    title: str,
    note: str = "",
    column_titles: tuple[str, str] = ("Original", "Grad-CAM"),
    colormap: str = "inferno",
    side: int = 152,
) -> Image.Image:
    """Draw one backbone's images as rows of original, overlay, labels and probability.

    Many rows are set in blocks beside each other, read from top to bottom. Right and wrong differ by sign, word and
    frame as well as by colour.

    Parameters
    ----------
    rows : sequence of SheetRow
        One or more images.
    title, note : str
        What the sheet shows; without a note, the number of images and of right ones stands under the title.
    column_titles : tuple of str
        Headings of the two columns of pictures.
    colormap : str
        The colour map of the overlays, for the legend.
    side : int
        Height and width of a tile in pixels.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    ValueError
        If there is no row.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one image")
    block_width = 2 * (side + _GAP) + _TEXT_WIDTH
    step = max(side, _TEXT_HEIGHT) + _GAP
    n_blocks = _blocks(len(rows), block_width + 2 * _GAP, step)
    in_block = math.ceil(len(rows) / n_blocks)
    width = max(2 * _MARGIN + n_blocks * block_width + (n_blocks - 1) * 2 * _GAP, NARROWEST)
    top = _MARGIN + HEADER_HEIGHT
    sheet = Image.new("RGB", (width, top + _HEADING + in_block * step + _MARGIN - _GAP), PAPER)
    n_right = sum(row.right for row in rows)
    header(sheet, title, note or f"{_counted(len(rows), 'image')}, {n_right} predicted right", colormap, _MARGIN)
    for number in range(n_blocks):
        left = _MARGIN + number * (block_width + 2 * _GAP)
        _headings(sheet, [(left + i * (side + _GAP), text) for i, text in enumerate(column_titles)], side, top)
        for place, row in enumerate(rows[number * in_block : (number + 1) * in_block]):
            _draw_row(sheet, row, left, top + _HEADING + place * step, side)
    return sheet


def comparison_sheet(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[SheetRow | None]],
    *,
    title: str,
    note: str = "",
    colormap: str = "inferno",
    side: int = 152,
) -> Image.Image:
    """Draw the same images for several backbones: the originals, then one column of overlays a backbone.

    Under an original stand its true labels, under an overlay the predicted ones and the probability of the one that is
    explained.

    Parameters
    ----------
    images : sequence of ndarray of shape (h, w, 3), uint8
        Original pictures, RGB, one or more.
    columns : mapping of str to sequence of SheetRow or None
        By backbone, one row an image in the same order; None where the backbone has no result.
    title, note, colormap, side
        As in `contact_sheet`.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    ValueError
        If there is no image or no backbone, or a column has another length.
    """
    if not images or not columns or any(len(rows) != len(images) for rows in columns.values()):
        raise ValueError("a comparison needs images, and for each backbone one row an image")
    foot = 46
    step = side + _GAP
    top = _MARGIN + HEADER_HEIGHT
    width = max(2 * _MARGIN + (1 + len(columns)) * step, NARROWEST)
    size = width, top + _HEADING + len(images) * (side + foot) + _MARGIN - _GAP
    sheet = Image.new("RGB", size, PAPER)
    told = f"{_counted(len(images), 'image')} as {_counted(len(columns), 'backbone')} see them"
    header(sheet, title, note or told, colormap, _MARGIN)
    lefts = [_MARGIN, *(_MARGIN + _GAP + (i + 1) * step for i in range(len(columns)))]
    _headings(sheet, list(zip(lefts, ["Original", *columns], strict=True)), side, top)
    for number, image in enumerate(images):
        results = [rows[number] for rows in columns.values()]
        y = top + _HEADING + number * (side + foot)
        true = next((row.true for row in results if row is not None), ())
        sheet.paste(framed(image, side, None), (lefts[0], y))
        _caption(sheet, lefts[0], y + side, side, "true", true)
        for x, row in zip(lefts[1:], results, strict=True):
            _draw_result(sheet, row, x, y, side)
    return sheet


def _blocks(n_rows: int, block_width: int, row_height: int) -> int:
    """Blocks that make the sheet about as wide as high, six at the most."""
    return max(1, min(6, n_rows // 3, round(math.sqrt(1.25 * n_rows * row_height / block_width))))


def _headings(sheet: Image.Image, columns: Sequence[tuple[int, str]], width: int, top: int) -> None:
    for left, text in columns:
        written(sheet, (left, top + 12), text, width, size=14)


def _draw_row(sheet: Image.Image, row: SheetRow, left: int, top: int, side: int) -> None:
    draw = ImageDraw.Draw(sheet)
    sheet.paste(framed(row.image, side, None), (left, top))
    sheet.paste(framed(row.overlay, side, row.right), (left + side + _GAP, top))
    x, width = left + 2 * (side + _GAP), _TEXT_WIDTH - _GAP
    mark(sheet, (x, top), row.right)
    last = "probability" if row.explained is None else "explained"
    told: list[tuple[str, str | tuple[str, ...]]] = [("true", row.true), ("predicted", row.predicted)]
    told.append((last, row.certainty))
    for y, (name, text) in zip((40, 62, 84), told, strict=True):
        draw.text((x, top + y), name, font=font(13), fill=QUIET, anchor="lm")
        written(sheet, (x + _LABEL_AT, top + y), text, width - _LABEL_AT, size=15)
    y = top + 98
    draw.rectangle((x, y, x + width, y + 5), fill=HAIR)
    filled = round(width * min(max(row.probability, 0.0), 1.0))
    draw.rectangle((x, y, x + filled, y + 5), fill=MARKS[row.right][2])
    below = row.name if row.fold is None else f"fold {row.fold} · {row.name}"
    below_at = top + max(side, _TEXT_HEIGHT) - 12
    draw.text((x, below_at), fitted(below, font(12), width), font=font(12), fill=QUIET, anchor="lm")


def _draw_result(sheet: Image.Image, row: SheetRow | None, left: int, top: int, side: int) -> None:
    if row is None:
        sheet.paste(framed(None, side, None), (left, top))
        middle = (left + side // 2, top + side // 2)
        ImageDraw.Draw(sheet).text(middle, "no result", font=font(13), fill=QUIET, anchor="mm")
        return
    sheet.paste(framed(row.overlay, side, row.right), (left, top))
    if row.explained is None:
        _caption(sheet, left, top + side, side, row.certainty, row.predicted, good=row.right)
        return
    _caption(sheet, left, top + side, side, "", row.predicted, good=row.right)
    below = fitted(row.certainty, font(12), side)
    ImageDraw.Draw(sheet).text((left, top + side + 34), below, font=font(12), fill=QUIET, anchor="lm")


def _caption(
    sheet: Image.Image,
    left: int,
    top: int,
    side: int,
    note: str,
    labels: tuple[str, ...],
    *,
    good: bool | None = None,
) -> None:
    x = left
    if good is not None:
        x += mark(sheet, (left, top + 7), good, size=11, word=False) + 6
    room = left + side - x - round(font(13).getlength(note)) - 6
    written(sheet, (x, top + 17), labels, room, size=14)
    ImageDraw.Draw(sheet).text((left + side, top + 17), note, font=font(13), fill=QUIET, anchor="rm")


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %" if probability < 0.995 else f"{math.floor(1000 * probability) / 10:.1f} %"

"""Contact sheets: many explained images on one picture, of one backbone or of several side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
from tasks.explanation.sheet_row import SheetRow

MARGIN = 28
GAP = 12
TEXT_WIDTH = 236
HEADING = 30
_TEXT_HEIGHT = 136
_LABEL_AT = 86
_FOOT, _HIGH_FOOT = 46, 58
"""Pixels below a tile of a comparison, for one line of text and for two."""


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
    block_width = 2 * (side + GAP) + TEXT_WIDTH
    step = row_height(side)
    n_blocks = blocks(len(rows), block_width + 2 * GAP, step)
    in_block = math.ceil(len(rows) / n_blocks)
    width = max(2 * MARGIN + n_blocks * block_width + (n_blocks - 1) * 2 * GAP, NARROWEST)
    top = MARGIN + HEADER_HEIGHT
    sheet = Image.new("RGB", (width, top + HEADING + in_block * step + MARGIN - GAP), PAPER)
    n_right = sum(row.right for row in rows)
    told = note or f"{_counted(len(rows), 'image')}, {n_right} predicted right"
    header(sheet, title, told, colormap, MARGIN, marks=any(row.outcome is not None for row in rows))
    for number in range(n_blocks):
        left = MARGIN + number * (block_width + 2 * GAP)
        headings(sheet, [(left + i * (side + GAP), text) for i, text in enumerate(column_titles)], side, top)
        for place, row in enumerate(rows[number * in_block : (number + 1) * in_block]):
            draw_row(sheet, row, [row.image], left, top + HEADING + place * step, side)
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
    explained. Many images are set in blocks beside each other, read from top to bottom.

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
    step, top = side + GAP, MARGIN + HEADER_HEIGHT
    two_lines = any(row is not None and row.explained is not None for own in columns.values() for row in own)
    down = side + (_HIGH_FOOT if two_lines else _FOOT)
    across = (1 + len(columns)) * step + 4 * GAP
    n_blocks = blocks(len(images), across, down)
    in_block = math.ceil(len(images) / n_blocks)
    width = max(2 * MARGIN + n_blocks * across - 4 * GAP, NARROWEST)
    sheet = Image.new("RGB", (width, top + HEADING + in_block * down + MARGIN - GAP), PAPER)
    told = f"{_counted(len(images), 'image')} as {_counted(len(columns), 'backbone')} see them"
    header(sheet, title, note or told, colormap, MARGIN)
    for number, image in enumerate(images):
        block, place = divmod(number, in_block)
        left, y = MARGIN + block * across, top + HEADING + place * down
        lefts = [left, *(left + GAP + (i + 1) * step for i in range(len(columns)))]
        if place == 0:
            headings(sheet, list(zip(lefts, ["Original", *columns], strict=True)), side, top)
        _draw_compared(sheet, image, [rows[number] for rows in columns.values()], lefts, y, side)
    return sheet


def row_height(side: int) -> int:
    """Give the height of a row of tiles and text, with the gap below it, in pixels."""
    return max(side, _TEXT_HEIGHT) + GAP


def blocks(n_rows: int, block_width: int, step: int) -> int:
    """Give the number of blocks that make a sheet about as wide as high, six at the most."""
    return max(1, min(6, n_rows // 3, round(math.sqrt(1.25 * n_rows * step / block_width))))


def headings(sheet: Image.Image, columns: Sequence[tuple[int, str]], width: int, top: int) -> None:
    """Write the titles of columns of tiles, each from its left end on."""
    for left, text in columns:
        written(sheet, (left, top + 12), text, width, size=14)


def draw_row(
    sheet: Image.Image, row: SheetRow, pictures: Sequence[np.ndarray | None], left: int, top: int, side: int
) -> None:
    """Draw pictures, the overlay in its frame, and the text of an image beside each other.

    Parameters
    ----------
    sheet : Image
        Is drawn on.
    row : SheetRow
        The image.
    pictures : sequence of ndarray of shape (h, w, 3), uint8, or None
        What stands left of the overlay; None gives an empty tile.
    left, top : int
        Left upper corner, in pixels.
    side : int
        Height and width of a tile in pixels.
    """
    draw = ImageDraw.Draw(sheet)
    for place, picture in enumerate(pictures):
        sheet.paste(framed(picture, side, None), (left + place * (side + GAP), top))
    sheet.paste(framed(row.overlay, side, row.outcome, row.remark), (left + len(pictures) * (side + GAP), top))
    x, width = left + (1 + len(pictures)) * (side + GAP), TEXT_WIDTH - GAP
    if row.outcome is not None:
        mark(sheet, (x, top), row.outcome)
    last = "probability" if row.explained is None else "explained"
    told: list[tuple[str, str | tuple[str, ...]]] = [(row.words[0], row.true), (row.words[1], row.predicted)]
    told.append((last, row.certainty))
    for y, (name, text) in zip((40, 62, 84), told, strict=True):
        draw.text((x, top + y), name, font=font(13), fill=QUIET, anchor="lm")
        written(sheet, (x + _LABEL_AT, top + y), text, width - _LABEL_AT, size=15)
    y = top + 98
    draw.rectangle((x, y, x + width, y + 5), fill=HAIR)
    if row.probability > 0:
        filled = round(width * min(row.probability, 1.0))
        draw.rectangle((x, y, x + filled, y + 5), fill=QUIET if row.outcome is None else MARKS[row.outcome][2])
    below = row.name if row.fold is None else f"fold {row.fold} · {row.name}"
    below_at = top + max(side, _TEXT_HEIGHT) - 12
    face = font(12, text=below)
    draw.text((x, below_at), fitted(below, face, width), font=face, fill=QUIET, anchor="lm")


def _draw_compared(
    sheet: Image.Image,
    image: np.ndarray,
    results: Sequence[SheetRow | None],
    lefts: Sequence[int],
    top: int,
    side: int,
) -> None:
    true = next((row.true for row in results if row is not None), ())
    sheet.paste(framed(image, side, None), (lefts[0], top))
    _caption(sheet, lefts[0], top + side, side, "true", true)
    for x, row in zip(lefts[1:], results, strict=True):
        _draw_result(sheet, row, x, top, side)


def _draw_result(sheet: Image.Image, row: SheetRow | None, left: int, top: int, side: int) -> None:
    if row is None:
        sheet.paste(framed(None, side, None), (left, top))
        middle = (left + side // 2, top + side // 2)
        ImageDraw.Draw(sheet).text(middle, "no result", font=font(13), fill=QUIET, anchor="mm")
        return
    sheet.paste(framed(row.overlay, side, row.right, row.remark), (left, top))
    if row.explained is None:
        _caption(sheet, left, top + side, side, row.certainty, row.predicted, good=row.right)
        return
    _caption(sheet, left, top + side, side, "", row.predicted, good=row.right)
    face = font(12, text=row.certainty)
    below = fitted(row.certainty, face, side)
    ImageDraw.Draw(sheet).text((left, top + side + 34), below, font=face, fill=QUIET, anchor="lm")


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

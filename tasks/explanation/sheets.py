"""Sheets that ask one question each: what is right, what is wrong, how does each class look, what do most get wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
from PIL import Image, ImageDraw

from tasks.explanation.contact_sheet import (
    GAP,
    HEADING,
    MARGIN,
    TEXT_WIDTH,
    blocks,
    comparison_sheet,
    contact_sheet,
    draw_row,
    headings,
    row_height,
)
from tasks.explanation.drawing import HAIR, HEADER_HEIGHT, NARROWEST, PAPER, QUIET, font, header, written
from tasks.explanation.sheet_row import SheetRow

COLUMNS = ("Original", "Pre-processed", "Grad-CAM")
"""Headings of a class sheet's pictures where no others are given."""

_CLASS_HEADING = 40
_NOTHING = 30


def wrong_sheet(
    rows: Sequence[SheetRow],
    *,
    title: str,
    n_wrong: int | None = None,
    n_images: int | None = None,
    most: int | None = None,
    method_title: str = "Grad-CAM",
    colormap: str = "inferno",
    side: int = 152,
) -> Image.Image | None:
    """Draw the images that are predicted wrong, in the order given; None where there is none.

    Parameters
    ----------
    rows : sequence of SheetRow
        The most confident first, as `tasks.explanation.sheet_choice.choose_wrong` orders them; those that are predicted
        right are left out.
    title : str
        What the sheet shows.
    n_wrong, n_images : int or None
        How many mistakes and images there are in all, for the line under the title; None: as many as are given.
    most : int or None
        How many rows are drawn at the most.
    method_title : str
        Heading of the overlays.
    colormap, side
        As in `contact_sheet`.

    Returns
    -------
    PIL.Image.Image or None
        RGB.
    """
    return _one_outcome(rows, False, n_wrong, n_images, title, most, method_title, colormap, side)


def right_sheet(
    rows: Sequence[SheetRow],
    *,
    title: str,
    n_right: int | None = None,
    n_images: int | None = None,
    most: int | None = None,
    method_title: str = "Grad-CAM",
    colormap: str = "inferno",
    side: int = 152,
) -> Image.Image | None:
    """Draw the images that are predicted right, in the order given; None where there is none.

    Parameters are those of `wrong_sheet`, with right for wrong, and `choose_right` gives the order.
    """
    return _one_outcome(rows, True, n_right, n_images, title, most, method_title, colormap, side)


def class_sheet(
    sections: Mapping[str, Sequence[SheetRow]],
    *,
    title: str,
    note: str = "",
    column_titles: tuple[str, str, str] = COLUMNS,
    colormap: str = "inferno",
    side: int = 152,
    max_classes: int = 60,
) -> Image.Image | None:
    """Draw a section a class: for each of its images the original, what the network sees of it, and the overlay.

    Many sections are set in blocks beside each other, read from top to bottom. A class without an image says so. Where
    no row has its `seen` picture, that column is left out.

    Parameters
    ----------
    sections : mapping of str to sequence of SheetRow
        The images of each class, in the order of the classes.
    title, note : str
        What the sheet shows; without a note, the number of images and classes stands under the title.
    column_titles : tuple of str
        Headings of the three columns of pictures.
    colormap, side
        As in `contact_sheet`.
    max_classes : int
        Classes that are drawn at the most, the first ones; the line under the title says how many there are.

    Returns
    -------
    PIL.Image.Image or None
        RGB; None where no class has an image.
    """
    shown = dict(islice(sections.items(), max_classes))
    if not any(shown.values()):
        return None
    with_seen = any(row.seen is not None for rows in shown.values() for row in rows)
    columns = column_titles if with_seen else (column_titles[0], column_titles[2])
    block_width = len(columns) * (side + GAP) + TEXT_WIDTH
    heights = [_CLASS_HEADING + (len(rows) * row_height(side) if rows else _NOTHING) for rows in shown.values()]
    n_rows = max(sum(heights) // row_height(side), 1)
    dealt = _dealt(heights, blocks(n_rows, block_width + 2 * GAP, row_height(side)))
    n_blocks = max(dealt) + 1
    tallest = max(sum(h for h, own in zip(heights, dealt, strict=True) if own == block) for block in range(n_blocks))
    top = MARGIN + HEADER_HEIGHT
    width = max(2 * MARGIN + n_blocks * block_width + (n_blocks - 1) * 2 * GAP, NARROWEST)
    sheet = Image.new("RGB", (width, top + HEADING + tallest + MARGIN - GAP), PAPER)
    header(sheet, title, _class_note(sections, shown, note), colormap, MARGIN)
    lefts = [MARGIN + block * (block_width + 2 * GAP) for block in range(n_blocks)]
    for left in lefts:
        headings(sheet, [(left + i * (side + GAP), text) for i, text in enumerate(columns)], side, top)
    ends = [top + HEADING] * n_blocks
    for (name, rows), block, height in zip(shown.items(), dealt, heights, strict=True):
        _draw_section(sheet, name, rows, (lefts[block], ends[block]), (block_width - GAP, side), with_seen)
        ends[block] += height
    return sheet


def shared_mistakes_sheet(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[SheetRow | None]],
    *,
    title: str,
    n_shared: int | None = None,
    n_images: int | None = None,
    colormap: str = "inferno",
    side: int = 152,
) -> Image.Image | None:
    """Draw the images that most backbones get wrong, one column of overlays a backbone; None where there is none.

    Parameters
    ----------
    images, columns, title, colormap, side
        As in `comparison_sheet`, in the order of `tasks.explanation.sheet_choice.choose_shared_mistakes`.
    n_shared, n_images : int or None
        How many such images there are, and how many images in all, for the line under the title.

    Returns
    -------
    PIL.Image.Image or None
        RGB.
    """
    if not images:
        return None
    note = _share(
        len(images), n_shared, n_images, "mistake shared by most backbones", "mistakes shared by most backbones"
    )
    return comparison_sheet(images, columns, title=title, note=note, colormap=colormap, side=side)


def _one_outcome(
    rows: Sequence[SheetRow],
    good: bool,
    n_such: int | None,
    n_images: int | None,
    title: str,
    most: int | None,
    method_title: str,
    colormap: str,
    side: int,
) -> Image.Image | None:
    such = [row for row in rows if row.right == good]
    if not such:
        return None
    shown = such[:most]
    nouns = ("right prediction", "right predictions") if good else ("mistake", "mistakes")
    told = _share(len(shown), n_such or len(such), n_images, *nouns)
    titles = ("Original", method_title)
    note = told if len(shown) == 1 else f"{told}, most confident first"
    return contact_sheet(shown, title=title, note=note, column_titles=titles, colormap=colormap, side=side)


def _share(n_shown: int, n_such: int | None, n_images: int | None, one: str, several: str) -> str:
    """Tell how many are shown of how many there are, and among how many images."""
    n_such = n_shown if n_such is None else n_such
    among = "" if n_images is None else f" among {n_images} images"
    if n_shown < n_such:
        return f"{n_shown} of {n_such} {several}{among}"
    return f"{f'the only {one}' if n_such == 1 else f'all {n_such} {several}'}{among}"


def _class_note(sections: Mapping[str, Sequence[SheetRow]], shown: Mapping[str, Sequence[SheetRow]], note: str) -> str:
    n_images, n_found = sum(map(len, shown.values())), sum(map(bool, shown.values()))
    n_classes = f"{len(shown)} classes" if n_found == len(shown) else f"{n_found} of {len(shown)} classes"
    told = note or f"{n_images} image{'' if n_images == 1 else 's'} of {n_classes}"
    return told if len(shown) == len(sections) else f"{told}; the first {len(shown)} of {len(sections)} classes"


def _dealt(heights: Sequence[int], n_blocks: int) -> list[int]:
    """Give each section its block, in order, so that blocks are about equally high and none is empty."""
    ends = np.cumsum(heights)
    middles = ends - np.asarray(heights) / 2
    wanted = np.minimum(middles * n_blocks // ends[-1], n_blocks - 1)
    dealt: list[int] = np.unique(wanted, return_inverse=True)[1].tolist()
    return dealt


def _draw_section(
    sheet: Image.Image,
    name: str,
    rows: Sequence[SheetRow],
    at: tuple[int, int],
    size: tuple[int, int],
    with_seen: bool,
) -> None:
    (left, top), (width, side) = at, size
    draw = ImageDraw.Draw(sheet)
    draw.line((left, top + 2, left + width, top + 2), fill=HAIR, width=1)
    written(sheet, (left, top + 20), name, width, size=17)
    if not rows:
        below = left, top + _CLASS_HEADING + 4
        draw.text(below, "no image of this class is explained", font=font(13), fill=QUIET, anchor="lm")
    for place, row in enumerate(rows):
        pictures = [row.image, row.seen] if with_seen else [row.image]
        draw_row(sheet, row, pictures, left, top + _CLASS_HEADING + place * row_height(side), side)

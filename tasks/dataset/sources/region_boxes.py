"""Boxes around regions of images, from a table."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tasks.config import InputError
from tasks.dataset.labels import BLANKS
from tasks.dataset.sources.image_names import ImageNames, NameProblem
from tasks.dataset.sources.table import Row, TextTable, read_table
from tasks.dataset.sources.table_columns import IMAGE_COLUMNS
from tasks.dataset.wording import counted, listed

_CORNERS = (
    (("x_min", "xmin", "x1", "left"), ("y_min", "ymin", "y1", "top")),
    (
        ("x_max", "xmax", "x2", "right"),
        ("y_max", "ymax", "y2", "bottom"),
    ),
)
_EXTENTS = (("x", "x_min", "xmin", "left"), ("y", "y_min", "ymin", "top")), (("width", "w"), ("height", "h"))


class Box(NamedTuple):
    """A rectangle in pixels from the upper left corner of the picture; it may end between two pixels."""

    left: float
    top: float
    right: float
    bottom: float
    where: str
    """The line or row of the table."""


class _Columns(NamedTuple):
    image: int
    sides: tuple[int, int, int, int]
    extents: bool
    """Whether the last two are width and height, and not the right and the lower edge."""


def boxes_of(path: Path, names: ImageNames) -> dict[str, tuple[Box, ...]]:
    """Return the boxes of each image that a table gives one; the keys are the images' addresses.

    Parameters
    ----------
    path
        The table, see `regions.read_regions`.
    names
        Finds the images.

    Raises
    ------
    InputError
        If the table or its columns cannot be told, a cell is no number, a box has no extent, all numbers are shares of
        the picture, or no box is of an image of the data.
    """
    table = read_table(path, IMAGE_COLUMNS)
    columns = _columns(table)
    found: dict[str, list[Box]] = defaultdict(list)
    faults: list[str] = []
    missing: list[str] = []
    for row in table.rows:
        try:
            image = names.find(row.cells[columns.image], "", anywhere=True)
            box = _box(row, columns, f"{table.unit} {row.line}")
        except NameProblem as fault:
            (missing if fault.missing else faults).append(f"{table.unit} {row.line}: {fault}")
            continue
        if box is not None:
            found[image].append(box)
    if faults:
        raise InputError(
            f"data.regions: {counted(len(faults), 'row')} of {path} cannot be used: {listed(faults)}. Mend them: a box "
            "is four numbers in pixels, and an image's name is its path below the data folder."
        )
    if not found:
        shown = f": {listed(missing, 3)}" if missing else ", or all of its boxes are blank"
        raise InputError(f"data.regions: {path} has no box of an image of the data{shown}. Mend the names or the path.")
    _refuse_shares(path, found)
    return {image: tuple(boxes) for image, boxes in found.items()}


def _columns(table: TextTable) -> _Columns:
    folded = [name.casefold() for name in table.columns]

    def place(names: tuple[str, ...]) -> int | None:
        return next((folded.index(name) for name in names if name in folded), None)

    image = place(IMAGE_COLUMNS)
    for extents, (first, second) in ((False, _CORNERS), (True, _EXTENTS)):
        sides = [place(names) for names in (*first, *second)]
        given = [side for side in sides if side is not None]
        if image is not None and len(given) == 4:
            return _Columns(image, (given[0], given[1], given[2], given[3]), extents)
    raise InputError(
        f"data.regions: the table {table.path} has the columns {listed(table.columns, 20)}. Boxes need one for the "
        f"image ({listed(IMAGE_COLUMNS, 3)}), and x_min, y_min, x_max and y_max, or x, y, width and height."
    )


def _box(row: Row, columns: _Columns, where: str) -> Box | None:
    """Return a row's box, None where it has none.

    Raises
    ------
    NameProblem
        If it is not four finite numbers, or has no extent.
    """
    cells = [row.cells[side] for side in columns.sides]
    if all(cell in BLANKS for cell in cells):
        return None
    try:
        left, top, right, bottom = (float(cell) for cell in cells)
    except ValueError:
        raise NameProblem(f"{', '.join(cells)} (are not four numbers)") from None
    if columns.extents:
        right, bottom = left + right, top + bottom
    if not all(map(math.isfinite, (left, top, right, bottom))) or right <= left or bottom <= top:
        raise NameProblem(f"{', '.join(cells)} (is no box: it has no extent)")
    return Box(left, top, right, bottom, where)


def _refuse_shares(path: Path, found: dict[str, list[Box]]) -> None:
    if all(max(box[:4]) <= 1 for boxes in found.values() for box in boxes):
        raise InputError(
            f"data.regions: no box in {path} goes beyond 1, so they seem to be shares of the picture. Give them in "
            "pixels: multiply by the picture's width and height."
        )

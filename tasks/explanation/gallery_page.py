"""The gallery page: thousands of explained images in one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Hashable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tasks.dataset.pages import page_template
from tasks.dataset.pixels.shaping import STRETCHED, Shaping, masked
from tasks.explanation.overlays import colour_table
from tasks.explanation.sprites import MARGIN, ON_A_SIDE, PER_SHEET, Sizes, fitting_sizes, quantised, sheet, thumbnail

COLUMNS = ("image", "backbone", "fold", "method", "true", "predicted", "probability", "right")
"""What each row of the page's table must hold; `note` may be there too."""

UNKNOWN: dict[str, Any] = {"fold": "", "true": (), "right": -1}
"""What stands for columns that are not there where images have no labels and a model no fold."""

PictureOf = Callable[[str], np.ndarray]
"""Gives the original picture of an image, RGB, uint8 of shape (h, w, 3), by its name in the column `image`."""

MapOf = Callable[[int], np.ndarray | None]
"""Gives the map of the row with this position in the table, of shape (h', w'), 0 to 1; None where there is none."""

_CARD = ["image", "backbone", "fold"]
_TEXT_SHARE = 0.1


class _Block(NamedTuple):
    """What the page decodes at one time: base64 of a sheet of pictures, and of all their maps."""

    number: int
    sheet: str
    maps: str


def write_gallery_page(
    path: Path,
    rows: pd.DataFrame,
    picture: PictureOf,
    heat: MapOf,
    *,
    title: str,
    note: str = "",
    how: Shaping = STRETCHED,
    colormap: str = "inferno",
    alpha: float = 0.4,
    max_mb: float = 40.0,
) -> None:
    """Write the page where people filter explained images, step through them and compare backbones and methods.

    It opens from disk and in MLflow's viewer, which shows files of up to 50 MiB in a frame without an origin: nothing
    is fetched or stored, and the page's own policy forbids both. Pictures are small JPEG sheets, maps are grids of
    numbers that the page colours; a block of both is decoded when one of its images is seen. The more images there
    are, the smaller they get: 190 pixels up to 1,100 images, 142 pixels for 2,000 at 40 MB. Pictures and maps are
    asked for one at a time, each picture once.

    Parameters
    ----------
    path : Path
        The file; it is there whole or not at all.
    rows : DataFrame
        One row a map, or a prediction without one: `image` (name, str), `backbone` and `method` (str), `fold` (int or
        str), `true` and `predicted` (str, or tuple of str where an image can have several labels), `probability` (0 to
        1, of what is predicted), `right` (bool), and perhaps `note` (str, what to say under this map, or None). Rows
        of one image, backbone and fold differ in `method` and `note` only. `fold`, `true` and `right` are left out
        together where a model of no fold explains images without labels.
    picture, heat : callable
        See `PictureOf` and `MapOf`.
    title, note : str
        What the page shows.
    how : Shaping
        The steps from picture to the network's square; what their mask hides is black.
    colormap : str
        The colour map of the maps.
    alpha : float
        Opacity of the maps when the page opens, 0 to 1; people can change it.
    max_mb : float
        Millions of bytes that the page may take.

    Raises
    ------
    InputError
        If there is no such colour map.
    ValueError
        If there is no row, a column or cell is missing, two rows are for one map, or a probability is not from 0 to 1.
    """
    if not UNKNOWN.keys() & set(rows.columns):
        rows = rows.assign(**{name: [value] * len(rows) for name, value in UNKNOWN.items()})
    _check(rows)
    table = _Table(rows.reset_index(drop=True))
    colours = base64.b64encode(colour_table(colormap).tobytes()).decode("ascii")
    sizes = fitting_sizes(len(table.names), len(rows), (1 - _TEXT_SHARE) * 0.75 * 1e6 * max_mb)
    look = {"colours": colours, "strength": alpha, "side": sizes.side, "margin": MARGIN, "onASide": ON_A_SIDE}
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(_html(title, note, table.blocks(picture, heat, how, sizes), lambda: look | table.coded()))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check(rows: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in rows.columns]
    if missing:
        raise ValueError(f"the gallery's table has no column {', '.join(missing)}")
    if rows.empty:
        raise ValueError("a gallery needs at least one row")
    twice = rows.duplicated([*_CARD, "method"])
    if twice.any():
        raise ValueError(f"two rows are for one map: {rows.loc[twice, [*_CARD, 'method']].iloc[0].to_dict()}")
    empty = [name for name in COLUMNS if rows[name].isna().any()]
    if empty:
        raise ValueError(f"the gallery's table has empty cells in {', '.join(empty)}")
    if not rows["probability"].between(0, 1).all():
        raise ValueError("a probability in the gallery's table is not from 0 to 1")


class _Table:
    """The rows as the page reads them: columns of small numbers, with lists of what the numbers stand for.

    A card is one image as one backbone's fold sees it, with a map a method.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        self._cards = rows.drop_duplicates(_CARD, ignore_index=True)
        self.methods = list(dict.fromkeys(rows["method"]))
        self.names = list(dict.fromkeys(rows["image"]))
        shape = len(self.methods), len(self._cards)
        self._row = np.full(shape, -1)
        card = rows.groupby(_CARD, sort=False).ngroup().to_numpy()
        self._row[_codes(rows["method"], self.methods), card] = np.arange(len(rows))
        self._image = _codes(self._cards["image"], self.names)
        self._notes = rows["note"].tolist() if "note" in rows else [None] * len(rows)
        self._sizes = np.zeros((len(self.names), 2), dtype=int)
        self._shape, self._at = np.full(shape, -1), np.full(shape, -1)
        self._shapes: dict[tuple[int, int], int] = {}

    def blocks(self, picture: PictureOf, heat: MapOf, how: Shaping, sizes: Sizes) -> Iterator[_Block]:
        """Give pictures and maps in blocks, and keep where each one is."""
        cards_of = pd.Series(range(len(self._image))).groupby(self._image).agg(list)
        for number in range(math.ceil(len(self.names) / PER_SHEET)):
            thumbnails, maps = [], bytearray()
            for image in range(number * PER_SHEET, min((number + 1) * PER_SHEET, len(self.names))):
                original = masked(picture(self.names[image]), how)
                height, width = original.shape[:2]
                thumbnails.append(thumbnail(original, sizes.side - 2 * MARGIN))
                self._sizes[image] = thumbnails[-1].shape[:2]
                for place in product(range(len(self.methods)), cards_of[image]):
                    found = None if self._row[place] < 0 else heat(int(self._row[place]))
                    if found is not None:
                        self._keep(place, quantised(found, height, width, how, grid=sizes.grid), maps)
            yield _Block(number, _text(sheet(thumbnails, sizes)), _text(bytes(maps)))

    def _keep(self, place: tuple[int, int], grid: np.ndarray, maps: bytearray) -> None:
        rows, columns = grid.shape
        self._shape[place] = self._shapes.setdefault((rows, columns), len(self._shapes))
        self._at[place] = len(maps)
        maps += grid.tobytes()

    def coded(self) -> dict[str, Any]:
        """Give all but pictures and maps, after these are written."""
        cards = self._cards
        true, predicted = ([_labels(value) for value in cards[name]] for name in ("true", "predicted"))
        decisions = list(dict.fromkeys([*true, *predicted]))
        labels = sorted({label for labels in decisions for label in labels}, key=lambda text: (text.casefold(), text))
        backbones = list(dict.fromkeys(cards["backbone"]))
        folds = sorted(set(cards["fold"]), key=lambda fold: (isinstance(fold, str), fold))
        notes = list(dict.fromkeys(text for text in self._notes if isinstance(text, str) and text))
        place_of = {text: place for place, text in enumerate(notes)}
        return {
            "labels": labels,
            "decisions": [[labels.index(label) for label in labels_of] for labels_of in decisions],
            "backbones": backbones,
            "folds": [str(fold) for fold in folds],
            "methods": self.methods,
            "notes": notes,
            "shapes": list(self._shapes),
            "images": {
                "name": self.names,
                "height": self._sizes[:, 0].tolist(),
                "width": self._sizes[:, 1].tolist(),
            },
            "cards": {
                "image": self._image.tolist(),
                "backbone": _codes(cards["backbone"], backbones).tolist(),
                "fold": _codes(cards["fold"], folds).tolist(),
                "true": _codes(true, decisions).tolist(),
                "predicted": _codes(predicted, decisions).tolist(),
                "probability": [round(float(value), 4) for value in cards["probability"]],
                "right": [int(value) for value in cards["right"]],
            },
            "maps": [
                {
                    "shape": self._shape[method].tolist(),
                    "at": self._at[method].tolist(),
                    "note": [place_of.get(self._notes[row], -1) if row >= 0 else -1 for row in self._row[method]],
                }
                for method in range(len(self.methods))
            ],
        }


def _codes(values: Any, known: list[Any]) -> np.ndarray:
    places: dict[Hashable, int] = {value: place for place, value in enumerate(known)}
    return np.array([places[value] for value in values], dtype=int)


def _labels(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _html(title: str, note: str, blocks: Iterator[_Block], data: Callable[[], dict[str, Any]]) -> Iterator[str]:
    from markupsafe import Markup

    here = Path(__file__).parent
    script = (here / "gallery_page.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return page_template(here / "gallery_page.html.j2").generate(
        title=title,
        note=note,
        blocks=blocks,
        data=data,
        script=Markup(script),
        allowed=Markup(f"'sha256-{allowed}'"),
    )

"""Pictures inside a page: as small as they look good, and not more of them than a page can hold."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image, features

ROOM = 14_000_000
"""How many letters all pictures of a page take together at most; the page itself stays below 20 MB."""

_SMALL = 60_000
"""Files up to so many bytes are taken as they are."""

_LONGEST_SIDE = 16_383
"""What WebP can hold."""

_QUALITY = 88


@dataclass(frozen=True)
class ShownPicture:
    """A picture of a page.

    Attributes
    ----------
    caption
        What it shows.
    source
        The picture as an address that holds it; empty where the page has no room for it.
    width, height
        On the page, in pixels.
    file
        Where the picture lies beside the page; empty where that is not told.
    is_drawing
        Whether it is a drawing and no photograph.
    """

    caption: str
    source: str
    width: int
    height: int
    file: str = ""
    is_drawing: bool = False


class Room:
    """Takes pictures into a page as long as there is room for them.

    Parameters
    ----------
    letters : int
        How much all of them take together at most.
    """

    def __init__(self, letters: int = ROOM) -> None:
        self._left = letters

    def take(
        self, png: bytes, caption: str, *, sharpness: int = 1, drawn: bool = False, file: str = ""
    ) -> ShownPicture:
        """Give a picture as the page shows it.

        Parameters
        ----------
        png : bytes
            The picture's file.
        caption : str
            What it shows.
        sharpness : int
            How many of its dots stand for one of the page.
        drawn : bool
            Whether it is a drawing, of which every dot is kept, and no photograph.
        file : str
            Where it lies beside the page.
        """
        with Image.open(io.BytesIO(png)) as picture:
            width, height = (max(1, round(side / sharpness)) for side in picture.size)
            kind, data = _smallest(png, picture, lossless=drawn)
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        if len(source) > self._left:
            source = ""
        self._left -= len(source)
        return ShownPicture(caption, source, width, height, file, drawn)


def _smallest(png: bytes, picture: Image.Image, *, lossless: bool) -> tuple[str, bytes]:
    if len(png) <= _SMALL or max(picture.size) > _LONGEST_SIDE or not features.check("webp"):
        return "png", png
    file = io.BytesIO()
    picture.convert("RGB").save(file, "WEBP", lossless=lossless, quality=40 if lossless else _QUALITY, method=3)
    return ("webp", file.getvalue()) if file.tell() < len(png) else ("png", png)

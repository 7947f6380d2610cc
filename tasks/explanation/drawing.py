"""The parts that sheets of pictures are drawn from: fonts, fitted text, framed tiles, the legend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tasks.evaluation.fonts import font_file, visible
from tasks.explanation.overlays import colour_table

INK = (28, 32, 38)
QUIET = (104, 112, 122)
HAIR = (222, 226, 231)
PAPER = (255, 255, 255)
EMPTY = (243, 245, 247)
BANNER = (20, 20, 20)
RIGHT = (0, 121, 92)
WRONG = (196, 68, 0)
MARKS = {True: ("✓", "right", RIGHT), False: ("✗", "wrong", WRONG)}
TITLE_SIZE = 25
FRAME = 4


def font(size: int, bold: bool = False, *, text: str = "") -> ImageFont.FreeTypeFont:
    """Give DejaVu Sans, which comes with matplotlib, or a font of this machine's that has what a text needs beyond it.

    Where no font has all of the text's letters, such as Chinese ones, DejaVu draws boxes for those that it lacks.

    Parameters
    ----------
    size : int
        Height of the letters in pixels.
    bold : bool
        Whether it is bold.
    text : str
        What is to be written.
    """
    return _opened(font_file(visible(text), bold), size)


@lru_cache(maxsize=64)
def _opened(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def fitted(text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    """Cut a text in its middle, with an ellipsis, where it is wider than `width` pixels."""
    text = " ".join(text.split())
    if face.getlength(text) <= width:
        return text
    kept = len(text) - 1
    while kept > 1 and face.getlength(_without_middle(text, kept)) > width:
        kept -= 1
    return _without_middle(text, kept)


def fitted_labels(labels: Sequence[str], face: ImageFont.FreeTypeFont, width: int) -> str:
    """List labels in `width` pixels: where they do not all fit, the first ones and how many more there are.

    Parameters
    ----------
    labels : sequence of str
        One or more; a first one that is too wide alone is cut as `fitted` does.
    face
        The font.
    width : int
        Room in pixels.
    """
    text = ""
    for left_out in range(len(labels)):
        text = ", ".join(labels[: len(labels) - left_out]) + (f" +{left_out}" if left_out else "")
        if face.getlength(text) <= width:
            return text
    return fitted(text, face, width)


def tile(picture: np.ndarray, side: int) -> Image.Image:
    """Scale a picture into a square of `side` pixels, its aspect kept, centred on a pale ground.

    Parameters
    ----------
    picture : ndarray of shape (h, w, 3), uint8
        RGB, of any size.
    side : int
        Height and width of the square.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    way = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    square = Image.new("RGB", (side, side), EMPTY)
    square.paste(Image.fromarray(picture).resize(size, way), ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def framed(picture: np.ndarray | None, side: int, good: bool | None, remark: str = "") -> Image.Image:
    """Draw a tile with a frame: whole in one colour for right, dashed in another for wrong, none for None.

    Parameters
    ----------
    picture : ndarray of shape (h, w, 3), uint8, or None
        RGB; None gives an empty tile.
    side : int
        Height and width of the tile, the frame within it.
    good : bool or None
        Whether the prediction is right.
    remark : str
        What is written across the lower edge of the picture.
    """
    card = Image.new("RGB", (side, side), EMPTY)
    inner = side - 2 * FRAME
    if picture is not None:
        card.paste(tile(picture, inner), (FRAME, FRAME))
    draw = ImageDraw.Draw(card)
    if remark:
        draw.rectangle((FRAME, side - FRAME - 18, side - FRAME - 1, side - FRAME - 1), fill=BANNER)
        middle, face = (side // 2, side - FRAME - 9), font(12)
        draw.text(middle, fitted(remark, face, inner - 6), font=face, fill=PAPER, anchor="mm")
    if good is None:
        return card
    draw.rectangle((0, 0, side - 1, side - 1), outline=MARKS[good][2], width=FRAME)
    if not good:
        for at in np.linspace(14, side - 20, max(round((side - 34) / 18), 0) + 1, dtype=int).tolist():
            for gap in ((at, 0, at + 5, FRAME - 1), (at, side - FRAME, at + 5, side)):
                draw.rectangle(gap, fill=PAPER)
                draw.rectangle((gap[1], gap[0], gap[3], gap[2]), fill=PAPER)
    return card


def mark(sheet: Image.Image, at: tuple[int, int], good: bool, *, size: int = 13, word: bool = True) -> int:
    """Draw the sign of right or wrong as a filled label; give its width in pixels.

    Parameters
    ----------
    sheet : Image
        Is drawn on.
    at : tuple of int
        Left upper corner, in pixels.
    good : bool
        Whether the prediction is right.
    size : int
        Height of the letters in pixels.
    word : bool
        Whether the word stands beside the sign.
    """
    stamp = _stamp(good, size, word)
    sheet.paste(stamp, at)
    return stamp.width


def written(
    sheet: Image.Image, at: tuple[int, int], text: str | tuple[str, ...], width: int, *, size: int, least: int = 11
) -> None:
    """Write a bold text in `width` pixels, smaller where it is long, and cut where even that is too wide.

    Parameters
    ----------
    sheet : Image
        Is drawn on.
    at : tuple of int
        The left end of the text's middle line, in pixels.
    text : str or tuple of str
        One line, or labels to list in one.
    width : int
        Room in pixels.
    size : int
        Height of the letters in pixels.
    least : int
        The height down to which they may shrink.
    """
    sizes, whole = range(size, least - 1, -1), text if isinstance(text, str) else ", ".join(text)
    faces = [font(s, True, text=whole) for s in sizes]
    face = next((face for face in faces if face.getlength(whole) <= width), faces[-1])
    short = fitted(text, face, width) if isinstance(text, str) else fitted_labels(text, face, width)
    ImageDraw.Draw(sheet).text(at, short, font=face, fill=INK, anchor="lm")


def header(
    sheet: Image.Image, title: str, note: str, colormap: str, margin: int, *, marks: bool = True, reserved: int = 0
) -> None:
    """Draw a sheet's title, the note under it and the legend of the colours and marks.

    Parameters
    ----------
    sheet : Image
        Is drawn on; `NARROWEST` pixels wide or more.
    title, note : str
        What the sheet shows; a text that is too wide is written smaller, and cut where even that is too wide.
    colormap : str
        The colour map of the overlays.
    margin : int
        Distance from the sheet's edges in pixels.
    marks : bool
        Whether the legend has the signs of right and wrong.
    reserved : int
        Pixels at the right edge that the texts leave free.
    """
    draw = ImageDraw.Draw(sheet)
    room = sheet.width - 2 * margin - reserved
    written(sheet, (margin, margin + 14), title, room, size=TITLE_SIZE, least=17)
    faces = [font(size, text=note) for size in (14, 13, 12, 11)]
    face = next((face for face in faces if face.getlength(note) <= room), faces[-1])
    draw.text((margin, margin + 48), fitted(note, face, room), font=face, fill=QUIET, anchor="lm")
    bar = _colour_bar(colormap)
    top, left = margin + 70, margin
    draw.text((left, top + 11), "low", font=font(13), fill=QUIET, anchor="lm")
    sheet.paste(bar, (left + 32, top + 4))
    draw.text((left + 40 + bar.width, top + 11), "high", font=font(13), fill=QUIET, anchor="lm")
    left += 96 + bar.width
    for good in (True, False) if marks else ():
        left += mark(sheet, (left, top), good) + 8


NARROWEST = 460
"""Pixels that a sheet must be wide for its header."""

HEADER_HEIGHT = 108
"""Pixels that `header` takes below the margin."""


def _colour_bar(colormap: str) -> Image.Image:
    strip = np.broadcast_to(colour_table(colormap)[None], (14, 256, 3))
    return Image.fromarray(np.ascontiguousarray(strip)).resize((150, 14), Image.Resampling.BILINEAR)


@lru_cache(maxsize=16)
def _stamp(good: bool, size: int, word: bool) -> Image.Image:
    sign, name, colour = MARKS[good]
    fine = 4
    face = font(size * fine, bold=True)
    text = f"{sign} {name}" if word else sign
    height = (size + 9) * fine
    width = round(face.getlength(text)) + size * fine if word else height
    stamp = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(stamp)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=height // 2, fill=colour)
    draw.text((width // 2, height // 2), text, font=face, fill=PAPER, anchor="mm")
    return stamp.resize((width // fine, height // fine), Image.Resampling.LANCZOS)


def _without_middle(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"

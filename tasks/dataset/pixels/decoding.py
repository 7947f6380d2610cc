"""Image files as arrays: every kind that is taken for an image, as 8-bit RGB.

Needs NumPy and Pillow and nothing of foldcam's, so that this very file can travel with a saved model.
"""

from __future__ import annotations

import errno
import io
import stat
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)

_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF")
"""Pillow opens more, but some of those start other programs (EPS), and none has a name ending that is looked for."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """An image that cannot be decoded; the message is the reason in one line, without the path.

    Parameters
    ----------
    reason
        The message.
    code
        The audit's word for the kind of fault.
    """

    def __init__(self, reason: str, code: str = "files.unreadable") -> None:
        super().__init__(reason)
        self.code = code


class Picture(NamedTuple):
    """An image file's pixels, and what else is to be known about the file."""

    pixels: Pixels
    """As `decode` gives them."""
    format: str
    """What the content is, whatever the name says: `PNG`, `JPEG`, `TIFF`, `GIF`, …, Pillow's words."""
    mode: str
    """The colour mode it is stored in, Pillow's word: `RGB`, `L`, `P`, `1`, `I;16`, `CMYK`, …"""
    has_more: bool
    """Whether it is an animation or has several pages, of which only the first counts."""


def decode(source: Path | bytes, ground: Colour = BLACK) -> Pixels:
    """Return the image as people see it, in 8-bit RGB.

    This is the rule for all that is not 8-bit RGB already:

    - The EXIF orientation is applied; colour profiles are not.
    - Greyscale of 1, 2, 4 or 8 bits is spread over 0 to 255 and becomes three equal channels.
    - 16-bit channels, grey or colour, keep their high byte: the whole 16-bit range becomes the whole 8-bit one,
      whatever the picture holds, so that two pictures stay comparable. 12-bit TIFF keeps its upper 8 bits likewise.
    - 32-bit integers are taken for 16-bit ones, and refused where one goes beyond.
    - Floating-point greyscale must lie in 0 to 1, and is multiplied by 255 and rounded.
    - A palette is looked up. CMYK becomes (255 - C) (255 - K) / 255 and so on; other colour spaces as Pillow converts
      them.
    - Transparency, as a channel, in a palette or as one transparent colour, is laid on `ground`.
    - Of an animation or a file with several pages, the first frame counts.

    Parameters
    ----------
    source
        The file, or its bytes; the content tells the format, not the name.
    ground
        The colour behind transparency, RGB, 0 to 255.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, 0 to 255

    Raises
    ------
    ImageError
        If the file cannot be opened, is no ordinary file or no image, is cut short or damaged, is so large that it may
        be an attack (Pillow's limit), or holds values without a fixed range.
    """
    return read_picture(source, ground).pixels


def read_picture(source: Path | bytes, ground: Colour = BLACK) -> Picture:
    """Return the image with what else is to be known about its file; parameters and errors as `decode`.

    Raises
    ------
    ImageError
        As `decode`.
    """
    try:
        with _opened(source) as file, Image.open(file, formats=_formats()) as image:
            mode = image.mode
            image.load()
            return Picture(_upright_rgb(image, ground), image.format or "", mode, _has_more(image))
    except ImageError:
        raise
    except Exception as fault:  # Pillow's decoders raise nearly every kind on damaged files
        raise ImageError(*_reason(source, fault)) from fault


def eight_bit(image: NDArray[Any]) -> Pixels:
    """Return an array's values as 8 bits, of the same shape.

    8-bit values are kept. 16-bit ones without sign keep their high byte, as those of files do. Other whole numbers must
    lie in 0 to 255 and are kept; floating-point ones must lie in 0 to 1 and are stretched to 0 to 255; truth values
    become black and white.

    Raises
    ------
    ImageError
        If values lie outside their range.
    """
    kind, width = image.dtype.kind, image.dtype.itemsize
    if kind == "b":
        return image.astype(np.uint8) * np.uint8(255)
    if kind == "u" and width <= 2:
        return (image >> 8 if width == 2 else image).astype(np.uint8)
    check_range(image, 1 if kind == "f" else 255)
    return (np.rint(image.astype(np.float64) * 255) if kind == "f" else image).astype(np.uint8)


def check_range(values: NDArray[Any], highest: int) -> None:
    """Refuse values that do not lie in 0 to `highest`.

    Raises
    ------
    ImageError
        It names the range that was found, and the one that is taken.
    """
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= highest):
        raise ImageError(
            f"its values, of type {values.dtype}, go from {low:g} to {high:g}, and must lie in 0 to {highest}: "
            "save it as uint8"
        )


def _opened(source: Path | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        if not source:
            raise ImageError("the file is empty", "files.empty")
        return io.BytesIO(source)
    status = source.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("no ordinary file, but a folder, a pipe or a device")
    if not status.st_size:
        raise ImageError("the file is empty", "files.empty")
    return source.open("rb")


@cache
def _formats() -> tuple[str, ...]:
    """Return those formats that this Pillow knows: older ones lack AVIF."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _upright_rgb(image: Image.Image, ground: Colour) -> Pixels:
    pixels = _rgb(image, ground)
    way = _UPRIGHT.get(_orientation(image))
    if way is None:
        return pixels
    return np.asarray(Image.fromarray(pixels).transpose(way), dtype=np.uint8)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged metadata says nothing about the pixels
        return None


def _has_more(image: Image.Image) -> bool:
    """Whether there is a second frame; a preview in a telephone's JPEG is none."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first frame is damaged, but it is there
        return True


def _rgb(image: Image.Image, ground: Colour) -> Pixels:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _deep_grey(image, ground)
    if image.mode == "F":
        return _grey(_from_unit(np.asarray(image)))
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, (*ground, 255)), picture)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _deep_grey(image: Image.Image, ground: Colour) -> Pixels:
    values = np.asarray(image)
    pixels = _grey(_high_byte(values, _bits(image)))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[values == transparent] = ground
    return pixels


def _bits(image: Image.Image) -> int:
    """Return the number of bits that a deep grey value can fill: 12 where a TIFF says so, else 16."""
    said = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))
    return min(int(said[0]), 16)


def _grey(values: Pixels) -> Pixels:
    return np.repeat(values[:, :, None], 3, axis=2)


def _high_byte(values: NDArray[Any], bits: int) -> Pixels:
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise ImageError("its 32-bit integers go beyond 16 bits, so their range is unknown; store it with 8 or 16 bits")
    return cast(Pixels, (values >> (bits - 8)).astype(np.uint8))


def _from_unit(values: NDArray[Any]) -> Pixels:
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ImageError("its floating-point values do not lie in 0 to 1; store it with 8 or 16 bits")
    return cast(Pixels, np.rint(values * 255).astype(np.uint8))


def _reason(source: Path | bytes, fault: Exception) -> tuple[str, str]:
    """Return why an image cannot be decoded, and the audit's code for it."""
    if isinstance(fault, FileNotFoundError):
        return "the file is not there (a broken link?)", "files.missing"
    if isinstance(fault, UnidentifiedImageError):
        like = _begins_like(source)
        if like:
            return f"it begins like {like}, but is damaged or cut short", "files.truncated"
        return "not an image in a known format", "files.no_image"
    if isinstance(fault, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"more than {limit:,} pixels, as decompression bombs have; store it smaller", "files.bomb"
    if isinstance(fault, OSError) and fault.errno == errno.ELOOP:
        return "a link that leads back to itself", "files.missing"
    text = " ".join(str(fault).split()) or type(fault).__name__
    if "truncated" in text.casefold():
        return text, "files.truncated"
    return _plain_reason(fault, text), "files.unreadable"


def _plain_reason(fault: Exception, text: str) -> str:
    if isinstance(fault, PermissionError):
        return "no permission to read the file"
    if isinstance(fault, MemoryError):
        return "not enough memory to decode it"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return f"cannot be decoded: {text}"


def _begins_like(source: Path | bytes) -> str | None:
    """Return the format that the first bytes of a file promise."""
    try:
        with _opened(source) as file:
            first = file.read(16).ljust(16, b"\0")
    except (OSError, ImageError):
        return None
    accepts = ((name, Image.OPEN[name][1]) for name in _formats())
    return next((name for name, accept in accepts if accept is not None and accept(first) is True), None)

"""Image files as arrays: every kind that Pillow reads, as 8-bit RGB."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

Pixels = NDArray[np.uint8]

DECODER_VERSION = f"1/pillow-{PIL.__version__}"
"""Changes whenever the same file may come to be decoded or resized to other pixels."""

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
    """An image that cannot be decoded; the message is the reason, without the path."""


def decode(path: Path) -> Pixels:
    """Return the image as people see it, in 8-bit RGB.

    The EXIF orientation is applied; colour profiles are not. Greyscale, palette, 1-bit, CMYK and the like become RGB
    as Pillow converts them. Transparency is laid on black. 16-bit greyscale keeps its high byte, so that the whole
    16-bit range becomes the whole 8-bit one, whatever the picture holds; floating-point greyscale must lie in 0 to 1.
    Of an animation or a file with several pages, the first frame counts.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, 0 to 255

    Raises
    ------
    ImageError
        If the file cannot be opened, is no image, is cut short or damaged, is so large that it may be an attack
        (Pillow's limit), or holds values without a fixed range.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            image.load()
            return _upright_rgb(image)
    except ImageError:
        raise
    except Exception as fault:  # Pillow's decoders raise nearly every kind on damaged files
        raise ImageError(_reason(path, fault)) from fault


def resize(image: Pixels, size: int) -> Pixels:
    """Return the image stretched to a square by Pillow's bilinear filter, which averages when it shrinks.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
    size
        Height and width of the result in pixels.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
    """
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def pixel_digest(image: Pixels) -> str:
    """Return the SHA-256 of the shape and the pixels, in hexadecimal.

    Two files with one digest show the same picture, whatever their names, formats and metadata.
    """
    digest = hashlib.sha256("x".join(map(str, image.shape)).encode() + b":")
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _upright_rgb(image: Image.Image) -> Pixels:
    pixels = _rgb(image)
    way = _UPRIGHT.get(_orientation(image))
    if way is None:
        return pixels
    return np.asarray(Image.fromarray(pixels).transpose(way), dtype=np.uint8)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged metadata says nothing about the pixels
        return None


def _rgb(image: Image.Image) -> Pixels:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _grey(_high_byte(np.asarray(image)))
    if image.mode == "F":
        return _grey(_from_unit(np.asarray(image)))
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        image = Image.alpha_composite(ground, picture)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _grey(values: Pixels) -> Pixels:
    return np.repeat(values[:, :, None], 3, axis=2)


def _high_byte(values: NDArray[Any]) -> Pixels:
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise ImageError("its 32-bit integers go beyond 16 bits, so their range is unknown; store it with 8 or 16 bits")
    return cast(Pixels, (values >> 8).astype(np.uint8))


def _from_unit(values: NDArray[Any]) -> Pixels:
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ImageError("its floating-point values do not lie in 0 to 1; store it with 8 or 16 bits")
    return cast(Pixels, np.rint(values * 255).astype(np.uint8))


def _reason(path: Path, fault: Exception) -> str:
    if isinstance(fault, FileNotFoundError):
        return "the file is not there (a broken link?)"
    if isinstance(fault, PermissionError):
        return "no permission to read the file"
    if isinstance(fault, UnidentifiedImageError):
        return "the file is empty" if path.stat().st_size == 0 else "not an image in a known format"
    if isinstance(fault, MemoryError):
        return "not enough memory to decode it"
    return str(fault) or type(fault).__name__

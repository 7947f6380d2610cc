"""Image files and pixels: decoded by one rule, told apart by their content, and shaped as the experiment file asks."""

from __future__ import annotations

import hashlib

import numpy as np
import PIL

from tasks.config import Preprocessing
from tasks.dataset.pixels.decoding import BLACK, ImageError, Picture, Pixels, decode, read_picture
from tasks.dataset.pixels.shaping import Shaping, shape

__all__ = [
    "BLACK",
    "DECODER_VERSION",
    "ImageError",
    "Picture",
    "Pixels",
    "decode",
    "pixel_digest",
    "read_picture",
    "resize",
    "shaping_of",
]

DECODER_VERSION = f"2/pillow-{PIL.__version__}"
"""Changes whenever the same file may come to be decoded to other pixels."""


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
    return shape(image, size)


def shaping_of(preprocessing: Preprocessing) -> Shaping:
    """Return the steps from picture to square that the experiment file's `data.preprocessing` asks for."""
    return Shaping(preprocessing.resize, preprocessing.pad_color, preprocessing.mask)


def pixel_digest(image: Pixels) -> str:
    """Return the SHA-256 of the shape and the pixels, in hexadecimal.

    Two files with one digest show the same picture, whatever their names, formats and metadata.
    """
    digest = hashlib.sha256("x".join(map(str, image.shape)).encode() + b":")
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()

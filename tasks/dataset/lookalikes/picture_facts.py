"""What one look at a decoded picture tells the audit: hashes of its look, brightness, contrast, sharpness, colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.dataset.pixels.images import Pixels

FACTS_VERSION = "3"
"""Changes whenever the same pixels may come to have other facts."""
VARIANTS = (
    "as it is",
    "mirrored left to right",
    "mirrored top to bottom",
    "turned by 180°",
    "mirrored along the main diagonal",
    "turned by 90° clockwise",
    "turned by 90° counter-clockwise",
    "mirrored along the other diagonal",
)
"""The eight flips and rotations of a square in the order of a picture's hashes."""
INVERSE = (0, 1, 2, 3, 4, 6, 5, 7)
"""The place of the variant that undoes each one."""
EVEN = 2.0
"""A picture whose 32 × 32 version varies by less than this (standard deviation, of 255 levels) has no hash: so little
structure is left that noise decides the bits."""

_SMALL = 32
_GAP = 3.0
_HASH_SIDE = 8
_DIGITS = 3
_LOOKED_AT = 256
_COLOURED = 16
_COLOURED_SHARE = 0.001


class PictureFacts(NamedTuple):
    """What the pixels of a picture show."""

    hashes: bytes
    """The perceptual hashes of its `VARIANTS`, 8 bytes each; empty for a picture too even for any."""
    brightness: float
    """The mean grey level, 0 (black) to 1 (white)."""
    contrast: float
    """The standard deviation of the grey levels, 0 to 0.5."""
    sharpness: float
    """The variance of the Laplacian of the 8-bit grey levels, from 0 on."""
    commonest: float
    """The share of the pixels that have the commonest colour, above 0 to 1."""
    colour: bool
    """Whether it shows colours; False for a greyscale picture, however it is stored."""
    red: float
    """The mean of red less green, -1 to 1; 0 for greys."""
    blue: float
    """The mean of blue less green, -1 to 1; 0 for greys."""


def picture_facts(image: Pixels) -> PictureFacts:
    """Return what the audit wants to know of a picture, its file not opened again.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy,
    ICPR 2000), of the picture shrunk to 256 pixels at most on its longer side: near what a network gets to see, and
    comparable between pictures of different sizes. Colours are counted on an even grid of as many pixels.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8, 0 to 255
    """
    grey = Image.fromarray(image).convert("L")
    counts = np.array(grey.histogram(), dtype=np.float64)
    levels = np.arange(256) / 255
    brightness = float(np.average(levels, weights=counts))
    step = -(-max(image.shape[:2]) // _LOOKED_AT)
    top, left = ((side - 1) % step // 2 for side in image.shape[:2])
    sample = image[top::step, left::step]
    small = grey.resize((_SMALL, _SMALL), Image.Resampling.LANCZOS, reducing_gap=_GAP)
    return PictureFacts(
        hashes=dihedral_hashes(np.asarray(small)),
        brightness=brightness,
        contrast=float(np.sqrt(np.average((levels - brightness) ** 2, weights=counts))),
        sharpness=_laplacian_variance(np.asarray(grey.reduce(step), dtype=np.float32)),
        commonest=_commonest(sample),
        colour=_in_colour(sample),
        red=_above_green(sample, 0),
        blue=_above_green(sample, 2),
    )


def dihedral_hashes(small: NDArray[np.uint8]) -> bytes:
    """Return the perceptual hashes of a picture's eight `VARIANTS`, or nothing if the picture is too even.

    Each is the DCT hash of Zauner (Implementation and benchmarking of perceptual image hash functions, 2010, section
    3.2.1) in the form of imagehash's `phash`: of the two-dimensional DCT-II the 8 × 8 lowest frequencies,
    a bit for each that lies above their median. No variant is ever drawn: mirroring a picture changes the sign of its
    odd frequencies along that axis, and mirroring it along the diagonal transposes them.

    Parameters
    ----------
    small : ndarray of shape (32, 32), uint8, grey levels

    Returns
    -------
    64 bytes, or none
    """
    from scipy.fft import dctn

    if small.std(dtype=np.float64) < EVEN:
        return b""
    low = np.round(dctn(small.astype(np.float64), type=2)[:_HASH_SIDE, :_HASH_SIDE], _DIGITS)
    odd = np.where(np.arange(_HASH_SIDE) % 2, -1.0, 1.0)
    signs = (np.ones((_HASH_SIDE, _HASH_SIDE)), np.tile(odd, (_HASH_SIDE, 1)))
    variants = [block * across * down for block in (low, low.T) for down in (signs[0], signs[1].T) for across in signs]
    flat = np.stack(variants).reshape(len(VARIANTS), -1)
    return np.packbits(flat > np.median(flat, axis=1, keepdims=True), axis=1).tobytes()


def hash_words(hashes: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return which pictures have hashes, and their hashes as numbers.

    Parameters
    ----------
    hashes
        Those of each picture, as in `PictureFacts`.

    Returns
    -------
    rows : ndarray of shape (n_hashed,), int64
        The places of the pictures that have hashes.
    words : ndarray of shape (n_hashed, 8), uint64
        Their hashes, in the order of `VARIANTS`.
    """
    rows = np.flatnonzero([bool(own) for own in hashes]).astype(np.int64)
    return rows, np.frombuffer(b"".join(hashes), dtype=">u8").astype(np.uint64).reshape(len(rows), len(VARIANTS))


def _laplacian_variance(levels: NDArray[np.float32]) -> float:
    if min(levels.shape) < 3:
        return 0.0
    beside = levels[1:-1, :-2] + levels[1:-1, 2:] + levels[:-2, 1:-1] + levels[2:, 1:-1]
    return float(np.var(beside - 4 * levels[1:-1, 1:-1], dtype=np.float64))


def _commonest(sample: Pixels) -> float:
    red, green, blue = (sample[..., channel].astype(np.uint32) for channel in range(3))
    codes = (red << 16 | green << 8 | blue).ravel()
    return float(np.unique(codes, return_counts=True)[1].max() / codes.size)


def _in_colour(sample: Pixels) -> bool:
    red, green, blue = (sample[..., channel] for channel in range(3))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return bool((spread > _COLOURED).mean() > _COLOURED_SHARE)


def _above_green(sample: Pixels, channel: int) -> float:
    return float((sample[..., channel].mean(dtype=np.float64) - sample[..., 1].mean(dtype=np.float64)) / 255)

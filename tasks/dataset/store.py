"""What is kept to save work: the cache folder, and all images of a manifest as one array, decoded once per size."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from tasks.dataset.array_store import ArrayStore
from tasks.dataset.cache_folder import cache_home, remote_home
from tasks.dataset.listed_image import open_listed
from tasks.dataset.manifest import Manifest
from tasks.dataset.parallel import Progress, in_threads
from tasks.dataset.pixels.images import DECODER_VERSION, Pixels
from tasks.dataset.pixels.shaping import SHAPING_VERSION, STRETCHED, Shaping, shape

__all__ = ["ArrayStore", "cache_home", "decoded_images", "open_store", "remote_home"]


def open_store(max_gb: float = math.inf) -> ArrayStore:
    """Give the store of decoded images and features below `cache_home()`; it keeps at most `max_gb` gigabytes."""
    return ArrayStore(cache_home() / "arrays", max_gb)


def decoded_images(
    manifest: Manifest,
    size: int,
    store: ArrayStore,
    shaping: Shaping = STRETCHED,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Pixels:
    """Return the images of the manifest as squares of `size` pixels.

    Parameters
    ----------
    manifest
        The images; row i of the result is row i of its table.
    size
        Height and width in pixels.
    store
        Where the array is kept; it is found again by the images' pixels, whatever their names.
    shaping
        The steps from picture to square, from `images.shaping_of`.
    workers
        Number of threads; by default one a core.
    progress
        Is called with the number of images done and to do; not at all if the array is there.

    Returns
    -------
    ndarray of shape (n_images, size, size, 3), uint8, mapped from disk and not to be written

    Raises
    ------
    ImageChanged
        If an image is gone or has changed since the manifest was read.
    InputError
        If the disk is full.
    """
    rows = list(zip(manifest.table["path"], manifest.table["sha256"], strict=True))

    def fill(array: NDArray[np.uint8]) -> None:
        def one(row: int) -> None:
            array[row] = shape(open_listed(manifest, rows[row][0]), size, shaping)

        in_threads(one, range(len(rows)), workers=workers, progress=progress)

    pixels = hashlib.sha256("\n".join(digest for _, digest in rows).encode()).hexdigest()
    key = {
        "what": "decoded images",
        "size": size,
        "shaping": [SHAPING_VERSION, *shaping],
        "n_images": len(rows),
        "pixels": pixels,
        "decoder": DECODER_VERSION,
    }
    return store.make(key, (len(rows), size, size, 3), np.uint8, fill)

"""An image of the manifest, opened again: it is the one that was listed, or it is refused."""

from __future__ import annotations

from contextlib import suppress

from tasks.config import InputError
from tasks.dataset.cache_folder import cache_home, remote_home
from tasks.dataset.manifest import Manifest
from tasks.dataset.manifest_cache import FactsCache
from tasks.dataset.pixels.addresses import open_image, split_address
from tasks.dataset.pixels.images import ImageError, Pixels, pixel_digest


class ImageChanged(InputError):
    """An image is gone, or is another one than was listed."""


def open_listed(manifest: Manifest, path: str) -> Pixels:
    """Return an image of the manifest as 8-bit RGB, with the very pixels that its `sha256` is of.

    Where it is another one, what is remembered of it is forgotten, so that the next run looks at it anew.

    Parameters
    ----------
    manifest
        The images.
    path
        As in its table.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, 0 to 255

    Raises
    ------
    ImageChanged
        If it is gone, cannot be read any more, or has changed.
    """
    where = manifest.root / path
    try:
        image = open_image(manifest.root, path, manifest.ground)
    except ImageError as fault:
        _forget(manifest, path)
        raise ImageChanged(f"The image {where} could be read before and cannot be now: {fault}. Run again.") from fault
    if pixel_digest(image) != manifest.digest_of(path):
        _forget(manifest, path)
        raise ImageChanged(f"The image {where} has changed since it was read. Run again.")
    return image


def _forget(manifest: Manifest, path: str) -> None:
    FactsCache(cache_home() / "manifests", manifest.root, manifest.ground).forget(path)
    if manifest.root.is_relative_to(remote_home()):
        with suppress(OSError):
            (manifest.root / split_address(path)[0]).unlink(missing_ok=True)  # a copy, which is fetched again

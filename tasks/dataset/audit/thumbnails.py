"""Small pictures for pages that need nothing beside them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image

from tasks.dataset.manifest import Manifest
from tasks.dataset.parallel import in_threads
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import ImageError

SIDE = 112
"""The longer side of a picture in pixels, at most."""


def thumbnails(manifest: Manifest, addresses: Sequence[str]) -> dict[str, str]:
    """Return small JPEG pictures of images as `data:` addresses; an image that can no longer be read has none.

    Parameters
    ----------
    manifest
        The images.
    addresses
        Which of them, as in its column `path`; each is read once.
    """
    wanted = list(dict.fromkeys(addresses))
    made = in_threads(lambda address: _data_uri(manifest, address), wanted)
    return {address: uri for address, uri in zip(wanted, made, strict=True) if uri is not None}


def _data_uri(manifest: Manifest, address: str) -> str | None:
    try:
        image = Image.fromarray(open_image(manifest.root, address, manifest.ground))
    except ImageError:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

"""What regions hold of images, as one digest; what could not be used later is refused on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tasks.config import InputError
from tasks.dataset.sources.regions import Regions


def regions_digest(regions: Regions, images: Iterable[tuple[str, int, int]]) -> str:
    """Give the SHA-256, in hexadecimal, of what regions say of images.

    It follows from the masks' bytes or from the boxes, not from where they lie.

    Parameters
    ----------
    regions
        Of `regions.read_regions`.
    images
        Address, height and width in pixels of each image.

    Raises
    ------
    InputError
        If a mask cannot be read or has another shape than its image, or a box lies outside the picture.
    """
    digest = hashlib.sha256()
    for image, height, width in images:
        region = regions.of_image.get(image)
        if region is None:
            continue
        if not (isinstance(region, Path) and _fits_by_its_head(region, height, width)):
            regions.mask(image, height, width)
        said = _bytes_digest(region) if isinstance(region, Path) else repr([tuple(box[:4]) for box in region])
        digest.update(f"{image}\n{said}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _fits_by_its_head(mask: Path, height: int, width: int) -> bool:
    """Tell whether a mask is whole and upright and has the picture's size, without decoding it."""
    from PIL import ExifTags, Image

    try:
        with Image.open(mask) as image:
            fits = image.size == (width, height) and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
            image.verify()
            return fits
    except Exception:  # whatever is wrong with the file is said by the one who reads it
        return False


def _bytes_digest(mask: Path) -> str:
    try:
        with mask.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise InputError(f"data.regions: the mask {mask} cannot be read: {fault.strerror}.") from fault

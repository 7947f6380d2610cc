"""Addresses of images: a path below the data folder, or a row of an array there (`training.npy#0017`)."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.dataset.pixels.arrays import image_of, open_array
from tasks.dataset.pixels.images import BLACK, Picture, Pixels, read_picture
from tasks.dataset.pixels.shaping import Colour

_ROW = re.compile(r"(?P<file>.+\.npy)#(?P<row>[0-9]+)\Z", re.IGNORECASE | re.DOTALL)


def row_address(file: str, row: int, n_rows: int) -> str:
    """Return the address of an array's row, with zeros in front so that addresses sort as the rows do."""
    return f"{file}#{row:0{len(str(n_rows - 1))}d}"


def split_address(address: str) -> tuple[str, int | None]:
    """Return the path of the file, and the row if the address is that of an image in an array."""
    found = _ROW.match(address)
    return (found["file"], int(found["row"])) if found else (address, None)


def open_image(root: Path, address: str, ground: Colour = BLACK) -> Pixels:
    """Return the image at an address as 8-bit RGB, by the rules of `images.decode` and `arrays.image_of`.

    Parameters
    ----------
    root
        The data folder.
    address
        As in the manifest's column `path`.
    ground
        The colour behind transparency, RGB, 0 to 255.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, 0 to 255

    Raises
    ------
    ImageError
        If it cannot be read; the message is the reason, without the address.
    """
    return open_picture(root, address, ground).pixels


def open_picture(root: Path, address: str, ground: Colour = BLACK) -> Picture:
    """Return the image with what else is to be known about its file; parameters and errors as `open_image`.

    That of an array has the format `NPY`, and the mode `L` or `RGB`.

    Raises
    ------
    ImageError
        As `open_image`.
    """
    file, row = split_address(address)
    if row is None:
        return read_picture(root / file, ground)
    array = open_array(root / file)
    return Picture(image_of(array, row), "NPY", "RGB" if array.shape[3:] == (3,) else "L", has_more=False)

"""Model and weight files that hold what they give: none unfolds beyond measure, and none hands out other files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import h5py

MOST_UNFOLDED = 50
"""How many times its size an archive's content may have; networks are stored as they are, or by a tenth smaller."""


def check_archive(path: Path) -> None:
    """Make sure that a zip file can be unpacked.

    Raises
    ------
    zipfile.BadZipFile
        It is damaged, or unfolds to many times its size.
    """
    with zipfile.ZipFile(path) as archive:
        unfolded = sum(member.file_size for member in archive.infolist())
    if unfolded > MOST_UNFOLDED * path.stat().st_size:
        raise zipfile.BadZipFile(f"it unfolds to {unfolded / 1e6:,.0f} MB, {MOST_UNFOLDED} times its size or more")


def check_enclosed(file: h5py.File) -> None:
    """Make sure that all arrays of an HDF5 file lie in it: it could name any file of this machine for one.

    Raises
    ------
    OSError
        An array or group lies in another file.
    """
    outside = file.visititems_links(lambda name, link: name if isinstance(link, h5py.ExternalLink) else None)
    outside = outside or file.visititems(lambda name, own: name if _lies_outside(own) else None)
    if outside is not None:
        raise OSError(f"what it calls {outside!r} lies in another file, and no other file is read")


def _lies_outside(own: Any) -> bool:
    return isinstance(own, h5py.Dataset) and bool(own.external or own.is_virtual)

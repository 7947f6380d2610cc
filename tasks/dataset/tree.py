"""The image files below a folder, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tasks.config import InputError

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)
"""File name endings, in small letters, that are taken for images."""


def image_files(root: Path) -> tuple[list[str], int]:
    """Return the images below `root` as sorted POSIX paths relative to it, and the number of other files.

    Hidden files and folders (`.DS_Store`, `._x`, `__MACOSX`) are neither. Links are followed, but not into a folder
    that holds them.

    Raises
    ------
    InputError
        If a folder cannot be read or a name is not valid UTF-8.
    """
    images, others = [], 0
    for relative, is_image in _walk(root, "", frozenset()):
        if is_image:
            images.append(relative)
        else:
            others += 1
    return sorted(images), others


def holds_images(folder: Path) -> bool:
    """Whether an image lies anywhere below the folder."""
    return any(is_image for _, is_image in _walk(folder, "", frozenset()))


def image_folders(root: Path) -> list[str]:
    """Return the names of the folders directly below `root` that hold images, sorted."""
    return [entry.name for entry in _entries(root) if entry.is_dir() and holds_images(Path(entry.path))]


def loose_images(root: Path) -> list[str]:
    """Return the names of the images that lie directly in `root`, sorted."""
    return [entry.name for entry in _entries(root) if _is_image(entry)]


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in _entries(folder):
        relative = prefix + entry.name
        if entry.is_dir():
            yield from _walk(Path(entry.path), relative + "/", above | {here})
        else:
            yield relative, _is_image(entry)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            seen = sorted((entry for entry in entries if not _is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError as fault:
        raise InputError(f"The folder {folder} cannot be read: {fault.strerror}. Mend its permissions.") from fault
    for entry in seen:
        _check_name(folder, entry.name)
    return seen


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether it is to be read as an image; a broken link is, so that it gets reported."""
    return Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and (entry.is_file() or entry.is_symlink())


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise InputError(f"The name {shown} in {folder} is not valid UTF-8. Rename it.") from None

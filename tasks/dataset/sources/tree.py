"""The image files below a folder, in an order that does not depend on the file system."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from tasks.config import InputError

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)
"""File name endings, in small letters, that are taken for images."""

_MOST_WAYS = 100
"""By how many ways a folder may be reached: folders full of links to each other have more ways than can be walked."""

_Inode = tuple[int, int]


def image_files(root: Path) -> list[str]:
    """Return the images below `root` as sorted POSIX paths relative to it.

    Hidden files and folders (`.DS_Store`, `._x`, `__MACOSX`) are left out. Links are followed, also out of `root`
    (`links_outside` names those), but not into a folder that holds the link or `root`. A link that leads to no file is
    taken for an image if its name says so, that it gets reported; pipes and devices are none.

    Raises
    ------
    InputError
        If a folder cannot be read, links between folders have no end, or the name of an image or a folder is not
        valid UTF-8 or holds line breaks or other control characters.
    """
    return sorted(found.relative for found in _Walk(root) if found.kind == "image")


def other_files(root: Path) -> list[str]:
    """Return what below `root` is no image by the ending of its name and not hidden, as `image_files` does.

    Raises
    ------
    InputError
        As `image_files`.
    """
    return sorted(found.relative for found in _Walk(root) if found.kind == "other")


def links_outside(root: Path) -> list[str]:
    """Return the links below `root` to images and folders that lie outside it, as sorted POSIX paths relative to it.

    What lies in a folder outside is not named, links in it neither.

    Raises
    ------
    InputError
        As `image_files`.
    """
    home = Path(os.path.realpath(root))
    out: list[str] = []
    for found in _Walk(root):
        if found.kind != "other" and found.is_link and not (out and found.relative.startswith(out[-1] + "/")):
            target = Path(os.path.realpath(root / found.relative))
            if not target.is_relative_to(home):
                out.append(found.relative)
    return sorted(out)


def holds_images(folder: Path) -> bool:
    """Whether an image lies anywhere below the folder."""
    return any(found.kind == "image" for found in _Walk(folder))


def image_folders(root: Path) -> list[str]:
    """Return the names of the folders directly below `root` that hold images, sorted."""
    return [entry.name for entry in _entries(root) if _kind(entry) == "folder" and holds_images(Path(entry.path))]


def loose_images(root: Path) -> list[str]:
    """Return the names of the images that lie directly in `root`, sorted."""
    return [entry.name for entry in _entries(root) if _kind(entry) == "image"]


_Kind = Literal["image", "folder", "other"]


class _Found(NamedTuple):
    relative: str
    kind: _Kind
    is_link: bool


class _Walk:
    """One walk through a folder: every entry, a folder before what is in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ways: Counter[_Inode] = Counter()

    def __iter__(self) -> Iterator[_Found]:
        return self._through(self.root, "", _holders(self.root))

    def _through(self, folder: Path, prefix: str, above: frozenset[_Inode]) -> Iterator[_Found]:
        here = _inode(folder)
        if here in above:
            return
        self.ways[here] += 1
        if self.ways[here] > _MOST_WAYS:
            raise InputError(
                f"More than {_MOST_WAYS} ways lead to the folder {folder} through links between folders below "
                f"{self.root}. Remove the links that lead round in circles."
            )
        for entry in _entries(folder):
            kind, relative = _kind(entry), prefix + entry.name
            yield _Found(relative, kind, entry.is_symlink())
            if kind == "folder":
                yield from self._through(Path(entry.path), relative + "/", above | {here})


def _holders(root: Path) -> frozenset[_Inode]:
    """Return the folders that hold `root`, by its name and by where it really is."""
    found = set()
    for parent in {*root.absolute().parents, *Path(os.path.realpath(root)).parents}:
        with suppress(InputError):
            found.add(_inode(parent))
    return frozenset(found)


def _inode(folder: Path) -> _Inode:
    try:
        status = folder.stat()
    except OSError as fault:
        raise _unreadable(folder, fault) from fault
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            seen = sorted((entry for entry in entries if not _is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError as fault:
        raise _unreadable(folder, fault) from fault
    for entry in seen:
        if _kind(entry) != "other":
            _check_name(folder, entry.name)
    return seen


def _unreadable(folder: Path, fault: OSError) -> InputError:
    return InputError(f"The folder {folder} cannot be read: {fault.strerror}. Mend its permissions.")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _kind(entry: os.DirEntry[str]) -> _Kind:
    """Return what an entry is read as; a link that leads nowhere counts as a file, so that it gets reported."""
    try:
        if entry.is_symlink():
            mode = entry.stat().st_mode
            is_folder, is_file = stat.S_ISDIR(mode), stat.S_ISREG(mode)
        else:
            is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:  # it leads nowhere, back to itself, or to where nobody may look
        is_folder, is_file = False, True
    if is_folder:
        return "folder"
    return "image" if is_file and Path(entry.name).suffix.lower() in IMAGE_SUFFIXES else "other"


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise InputError(f"The name {shown} in {folder} is not valid UTF-8. Rename it.") from None
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        raise InputError(f"The name {name!r} in {folder} holds a line break or another control character. Rename it.")

"""Images that are asked for by name: files, folders and rows of arrays, found and tried before anything is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.config import InputError
from tasks.dataset.parallel import Progress, in_threads
from tasks.dataset.pixels.addresses import open_image, split_address
from tasks.dataset.pixels.images import BLACK, ImageError, Pixels
from tasks.dataset.pixels.shaping import Colour
from tasks.dataset.sources.tree import image_files
from tasks.dataset.wording import counted, listed, nearest_sibling, on_one_line


@dataclass(frozen=True)
class AskedImage:
    """An image and what it is called.

    Attributes
    ----------
    path : str
        As it was asked for: the argument, and below a folder the way from there; `/` between folders.
    name : str
        Its path below the folder that holds all images asked for.
    root : Path
        The folder that `address` is relative to.
    address : str
        The file below `root`, or a row of an array there (`test.npy#0017`).
    """

    path: str
    name: str
    root: Path
    address: str

    def open(self, ground: Colour = BLACK) -> Pixels:
        """Give the image as 8-bit RGB, of shape (height, width, 3).

        Raises
        ------
        InputError
            It could be read when all were tried, and cannot be now.
        """
        try:
            return open_image(self.root, self.address, ground)
        except ImageError as fault:
            raise InputError(f"The image {self.path} could be read before and cannot be now: {fault}.") from fault


def find_images(asked: Sequence[str | Path]) -> list[AskedImage]:
    """Give the images that are named, and all of those below folders that are, each once.

    Parameters
    ----------
    asked : sequence of str or Path
        Files of any ending, folders, and rows of arrays. They come in this order, those of a folder by their paths.

    Raises
    ------
    InputError
        None is named, one is not there (with the nearest name beside it), or a folder holds none or cannot be read.
    """
    places: dict[str, tuple[str, Path, str]] = {}
    for argument in asked:
        for path, root, address in _found(str(argument)):
            places.setdefault(str(Path(os.path.abspath(root)) / address), (path, root, address))  # noqa: PTH100
    if not places:
        raise InputError("No image is named. Name image files, or folders of them.")
    common = os.path.commonpath([str(Path(place).parent) for place in places])
    return [
        AskedImage(path, Path(os.path.relpath(place, common)).as_posix(), root, address)
        for place, (path, root, address) in places.items()
    ]


def check_images(images: Sequence[AskedImage], progress: Progress | None = None) -> None:
    """Open every image once.

    Raises
    ------
    InputError
        Some cannot be read: which, and why.
    """

    def fault_of(image: AskedImage) -> str | None:
        try:
            open_image(image.root, image.address)
        except ImageError as fault:
            return str(fault)
        return None

    faults = in_threads(fault_of, images, progress=progress)
    unread = [f"{image.path} ({fault})" for image, fault in zip(images, faults, strict=True) if fault is not None]
    if unread:
        raise InputError(
            f"{len(unread):,} of {counted(len(images), 'image')} cannot be read: {listed(unread, 10)}. Mend them, or "
            "leave them out; nothing was written."
        )


def _found(argument: str) -> list[tuple[str, Path, str]]:
    """Give path, root and address of each image that an argument means."""
    path = Path(argument).expanduser()
    try:
        if path.is_dir():
            addresses = image_files(path)
            if not addresses:
                raise InputError(f"The folder {on_one_line(argument)} holds no image. Name one that does.")
            return [((Path(argument) / address).as_posix(), path, address) for address in addresses]
        file, row = split_address(path.name)
        if path.suffix.lower() == ".npy" and path.is_file():
            raise InputError(f"{argument} is an array of images. Name one of its rows, such as {argument}#0.")
        there = (path.parent / file).is_file() if row is not None else path.exists()
    except (OSError, ValueError) as fault:
        if isinstance(fault, InputError):
            raise
        reason = getattr(fault, "strerror", None) or str(fault)
        raise InputError(f"The image {on_one_line(argument)} cannot be opened: {reason}.") from fault
    if not there:
        missing = path.parent / file
        raise InputError(f"There is no image {on_one_line(argument)}{nearest_sibling(missing.absolute())}.")
    return [(Path(argument).as_posix(), path.parent, path.name)]

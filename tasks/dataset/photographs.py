"""Photographs without labels: every image below a folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tasks.config import Data, InputError
from tasks.dataset.parallel import Progress, in_threads
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import BLACK, ImageError, Pixels, pixel_digest
from tasks.dataset.pixels.shaping import Colour
from tasks.dataset.sources.readers import checked_root
from tasks.dataset.sources.tree import image_files
from tasks.dataset.wording import counted, listed

COLUMNS = ("path", "sha256", "width", "height")


@dataclass(frozen=True, eq=False)
class Photographs:
    """The photographs, sorted by path.

    Attributes
    ----------
    table : DataFrame
        `path` (POSIX, below `root`), `sha256` (of the decoded pixels), `width` and `height` (pixels, upright).
    root : Path
        The folder, absolute.
    ground : tuple of int
        The colour behind transparency, RGB, 0 to 255.
    rejected : tuple of (str, str)
        Path and reason of each image that cannot be read and is left out.
    """

    table: pd.DataFrame
    root: Path
    ground: Colour = BLACK
    rejected: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> list[str]:
        """The paths in order."""
        return [str(path) for path in self.table["path"]]

    @cached_property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal, over paths and pixels."""
        rows = self.table[["path", "sha256"]].to_numpy().tolist()
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()

    def open(self, row: int) -> Pixels:
        """Give a photograph as 8-bit RGB, of shape (height, width, 3).

        Raises
        ------
        InputError
            It is gone or has changed since it was read.
        """
        path, digest = self.table["path"].iloc[row], self.table["sha256"].iloc[row]
        try:
            pixels = open_image(self.root, path, self.ground)
        except ImageError as fault:
            raise InputError(
                f"{self.root / path} could be read before and cannot be now: {fault}. Run again."
            ) from fault
        if pixel_digest(pixels) != digest:
            raise InputError(f"{self.root / path} has changed since it was read. Run again.")
        return pixels


def read_photographs(data: Data, progress: Progress | None = None) -> Photographs:
    """Open every image below `data.path`.

    Parameters
    ----------
    data
        The experiment file's `data`, with a folder as its path.
    progress
        Is called with the number of images done and to do.

    Raises
    ------
    InputError
        The folder is missing or holds no image, or one cannot be read and `data.on_corrupt` is `stop`, or none can.
    """
    root, ground = checked_root(data.path), data.preprocessing.transparency_color
    paths = image_files(root)
    if not paths:
        raise InputError(f"The folder {root} holds no image. Point data.path at the folder of photographs.")

    def look(path: str) -> tuple[str, int, int] | str:
        try:
            pixels = open_image(root, path, ground)
        except ImageError as fault:
            return str(fault)
        return pixel_digest(pixels), pixels.shape[1], pixels.shape[0]

    looks = list(zip(paths, in_threads(look, paths, progress=progress), strict=True))
    rejected = [(path, found) for path, found in looks if isinstance(found, str)]
    if rejected and (data.on_corrupt == "stop" or len(rejected) == len(paths)):
        shown = listed([f"{path} ({reason})" for path, reason in rejected], 10)
        way_out = ", or go on without them: data.on_corrupt: skip" if len(rejected) < len(paths) else ""
        raise InputError(
            f"{len(rejected):,} of {counted(len(paths), 'image')} in {root} cannot be read: {shown}. Mend or remove "
            f"them{way_out}."
        )
    rows = [(path, *found) for path, found in looks if not isinstance(found, str)]
    return Photographs(pd.DataFrame(rows, columns=list(COLUMNS)), root, ground, tuple(rejected))

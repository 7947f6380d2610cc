"""What earlier runs found in the image files, so that an unchanged file is not decoded again."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tasks.dataset.lookalikes.picture_facts import FACTS_VERSION
from tasks.dataset.pixels.images import DECODER_VERSION
from tasks.dataset.pixels.shaping import Colour

logger = logging.getLogger(__name__)


class FileState(NamedTuple):
    """What tells whether a file changed."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class ImageFacts(NamedTuple):
    """What decoding an image shows; `Picture` and `PictureFacts` say what the fields mean."""

    sha256: str
    """Of the decoded pixels."""
    width: int
    """Upright, in pixels."""
    height: int
    format: str
    mode: str
    has_more: bool
    hashes: str
    brightness: float
    contrast: float
    sharpness: float
    commonest: float
    colour: bool


FACTS = ImageFacts._fields[3:]
"""What only the audit wants to know."""


def file_state(path: Path, relative: str) -> FileState:
    """Return the state of a file now; all numbers are -1 if it cannot be looked up."""
    try:
        status = path.stat()
    except OSError:
        return FileState(relative, -1, -1, -1)
    return FileState(relative, status.st_size, status.st_mtime_ns, status.st_ino)


class FactsCache:
    """The facts of the last run over one data folder.

    Parameters
    ----------
    folder
        Where they are kept.
    root
        The data folder.
    ground
        The colour behind transparency, RGB, that the images are decoded with.
    """

    def __init__(self, folder: Path, root: Path, ground: Colour) -> None:
        decides = f"{DECODER_VERSION}:{FACTS_VERSION}:{ground}:{root.resolve()}"
        self._file = folder / f"images-{hashlib.sha256(decides.encode()).hexdigest()[:24]}.parquet"

    def load(self) -> dict[FileState, ImageFacts]:
        """Return the facts; empty if there are none or they cannot be read."""
        try:
            table = pd.read_parquet(self._file)
            states = zip(*(table[name].tolist() for name in FileState._fields), strict=True)
            facts = zip(*(table[name].tolist() for name in ImageFacts._fields), strict=True)
            return {FileState(*state): ImageFacts(*fact) for state, fact in zip(states, facts, strict=True)}
        except FileNotFoundError:
            return {}
        except Exception as fault:  # a damaged parquet file fails in many ways, and none of them matters
            logger.warning("The list of known images %s cannot be read and is made again: %s", self._file, fault)
            return {}

    def save(self, facts: Mapping[FileState, ImageFacts]) -> None:
        """Keep the facts for the next run; if they cannot be written, say so and go on."""
        rows = [(*state, *fact) for state, fact in facts.items()]
        table = pd.DataFrame(rows, columns=[*FileState._fields, *ImageFacts._fields])
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, suffix=".tmp")
            os.close(handle)
            try:
                table.to_parquet(name, index=False)
                Path(name).replace(self._file)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as fault:
            logger.warning("The list of known images cannot be kept as %s: %s", self._file, fault)

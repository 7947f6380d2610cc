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

from tasks.dataset.images import DECODER_VERSION

logger = logging.getLogger(__name__)


class FileState(NamedTuple):
    """What tells whether a file changed."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class ImageFacts(NamedTuple):
    """What decoding an image shows: the digest of its pixels, and its upright width and height in pixels."""

    sha256: str
    width: int
    height: int


def file_state(path: Path, relative: str) -> FileState:
    """Return the state of a file now; all numbers are -1 if it cannot be looked up."""
    try:
        status = path.stat()
    except OSError:
        return FileState(relative, -1, -1, -1)
    return FileState(relative, status.st_size, status.st_mtime_ns, status.st_ino)


def load_facts(cache_dir: Path, root: Path) -> dict[FileState, ImageFacts]:
    """Return the facts of the last run over this data folder; empty if there are none or they cannot be read."""
    try:
        table = pd.read_parquet(_cache_file(cache_dir, root))
        states = zip(*(table[name].tolist() for name in FileState._fields), strict=True)
        facts = zip(*(table[name].tolist() for name in ImageFacts._fields), strict=True)
        return {FileState(*state): ImageFacts(*fact) for state, fact in zip(states, facts, strict=True)}
    except FileNotFoundError:
        return {}
    except Exception as fault:  # a damaged parquet file fails in many ways, and none of them matters
        logger.warning("The list of known images in %s cannot be read and is made again: %s", cache_dir, fault)
        return {}


def save_facts(cache_dir: Path, root: Path, facts: Mapping[FileState, ImageFacts]) -> None:
    """Keep the facts for the next run; if the cache cannot be written, say so and go on."""
    rows = [(*state, *fact) for state, fact in facts.items()]
    table = pd.DataFrame(rows, columns=[*FileState._fields, *ImageFacts._fields])
    target = _cache_file(cache_dir, root)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache_dir, suffix=".tmp")
        os.close(handle)
        try:
            table.to_parquet(name, index=False)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as fault:
        logger.warning("The list of known images cannot be kept in %s: %s", cache_dir, fault)


def _cache_file(cache_dir: Path, root: Path) -> Path:
    name = hashlib.sha256(f"{DECODER_VERSION}:{root.resolve()}".encode()).hexdigest()[:24]
    return cache_dir / f"images-{name}.parquet"

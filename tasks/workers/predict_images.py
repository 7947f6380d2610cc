"""Predicts images, however many, in bounded memory: decoded in threads, predicted in batches, kept part by part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.dataset.asked_images import AskedImage
from tasks.dataset.drift_reference import STATISTICS, picture_statistics
from tasks.dataset.manifest_cache import file_state
from tasks.dataset.parallel import in_threads, usable_cores
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import DECODER_VERSION, ImageError, Pixels
from tasks.dataset.pixels.shaping import SHAPING_VERSION
from tasks.workers.plan import digest_of
from tasks.workers.prediction_parts import Parts
from tasks.workers.predictor import Predictor

PART = 256
"""Images whose predictions are kept in one file, and lost together when the command is killed."""

MOST_BYTES = 128 << 20
"""A batch is cut short where its pictures, at their own sizes, hold more."""

REQUIRED = ("image", "label", "probability")
OPTIONAL = ("prediction_set", "abstains", "overlay")

Report = Callable[[int, int], None]
"""Is called with the number of images done and to do."""


@dataclass(frozen=True, eq=False)
class _Read:
    """An image that was opened: its picture and what it looks like, or why it cannot be read."""

    picture: Pixels | None
    statistics: dict[str, float]
    error: str | None = None


def prediction_fingerprint(images: Sequence[AskedImage], predictor: Predictor, *, explain: bool) -> str:
    """Give the SHA-256 of everything that decides the predictions: model, files (by size and time of change), steps."""
    files = [file_state(image.root, image.address) for image in images]
    return digest_of([predictor.fingerprint, explain, DECODER_VERSION, SHAPING_VERSION, files])


def predict_images(
    images: Sequence[AskedImage],
    predictor: Predictor,
    parts: Parts,
    *,
    batch_size: int,
    explain: bool,
    report: Report,
) -> None:
    """Predict what is missing among the parts.

    Parameters
    ----------
    images : sequence of AskedImage
        All images, in their order.
    predictor : Predictor
        The model.
    parts : Parts
        Where predictions are kept.
    batch_size : int
        Images that go through the model at once, at most.
    explain : bool
        Whether overlays are written.
    report : callable
        See `Report`.
    """
    there = parts.starts()
    for start in range(0, len(images), PART):
        some = images[start : start + PART]
        if start not in there:
            tables = []
            for batch, read, first in _batches(some, start, predictor, batch_size):
                report(first, len(images))
                tables.append(_predicted(batch, read, predictor, parts, first, explain))
            parts.write(start, pd.concat(tables, ignore_index=True))
    report(len(images), len(images))


def n_done(parts: Parts, n_images: int) -> int:
    """Give how many of the images the parts hold that are there already."""
    return sum(min(PART, n_images - start) for start in parts.starts())


def result_columns(predictor: Predictor, there: Sequence[str]) -> list[str]:
    """Give the columns of the table of predictions, of those that its parts have."""
    classes = [f"prob/{name}" for name in predictor.targets.classes]
    return [name for name in (*REQUIRED, *classes, *OPTIONAL, "error") if name in there]


def _batches(
    images: Sequence[AskedImage], start: int, predictor: Predictor, batch_size: int
) -> Iterator[tuple[list[AskedImage], list[_Read], int]]:
    """Yield images with what was read of them, and the number of the first one."""
    ground, at_once = predictor.ground, 2 * usable_cores()

    def read(image: AskedImage) -> _Read:
        try:
            picture = open_image(image.root, image.address, ground)
        except ImageError as fault:
            return _Read(None, dict.fromkeys(STATISTICS, np.nan), str(fault))
        return _Read(picture, picture_statistics(picture))

    batch: list[_Read] = []
    first = 0
    for place in range(0, len(images), at_once):
        for one in in_threads(read, images[place : place + at_once]):
            batch.append(one)
            if len(batch) == batch_size or sum(map(_size, batch)) > MOST_BYTES:
                yield list(images[first : first + len(batch)]), batch, start + first
                first, batch = first + len(batch), []
    if batch:
        yield list(images[first:]), batch, start + first


def _size(read: _Read) -> int:
    return 0 if read.picture is None else read.picture.nbytes


def _predicted(
    images: list[AskedImage], reads: list[_Read], predictor: Predictor, parts: Parts, first: int, explain: bool
) -> pd.DataFrame:
    """Give a row an image: its prediction, or why there is none."""
    good = [place for place, read in enumerate(reads) if read.picture is not None]
    pictures = [read.picture for read in reads if read.picture is not None]
    found = predictor.predict(pictures, explain=explain) if pictures else pd.DataFrame(columns=["label", "probability"])
    table = found.set_axis(good, axis=0).reindex(range(len(reads)))
    table.insert(0, "image", [image.path for image in images])
    said = table["error"] if "error" in table else pd.Series(None, index=table.index, dtype=object)
    own = pd.Series([read.error for read in reads], dtype=object)
    table["error"] = own.where(own.notna(), said.where(said != "", None))
    if "overlay" in table:
        overlays = zip(images, table["overlay"], strict=True)
        table["overlay"] = [_overlay(parts, first + row, *pair) for row, pair in enumerate(overlays)]
    return table.join(pd.DataFrame([read.statistics for read in reads], columns=list(STATISTICS)))


def _overlay(parts: Parts, number: int, image: AskedImage, content: object) -> str | None:
    """Write an overlay; give its path from the table's folder."""
    if not isinstance(content, bytes):
        return None
    stem = re.sub(r"[^\w.-]+", "_", Path(image.name).stem)[:80]
    file = parts.overlays / f"{number:07d}_{stem}.png"
    parts.overlays.mkdir(exist_ok=True)
    file.write_bytes(content)
    return f"{parts.overlays_called}/{file.name}"

"""The unfinished result of a long prediction: parts beside the file that they become, so that it can go on."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tasks.config import InputError
from tasks.dataset.locks import hold_shared, may_remove
from tasks.dataset.spreadsheets import inert

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.dataset.asked_images import AskedImage

ENDINGS = (".parquet", ".csv")
"""What a table of predictions may be called."""

TEXTS = ("image", "label", "prediction_set", "overlay", "error")
TRUTHS = ("abstains",)

_PLAN = "plan.json"
_OVERLAYS = "overlays"


class Parts:
    """The parts that are there so far.

    Parameters
    ----------
    folder : Path
        Where they lie.
    out : Path
        The table that they become.

    Attributes
    ----------
    overlays : Path
        Where pictures are written until all is done.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder, self._out = folder, out
        self.overlays = folder / _OVERLAYS

    @property
    def overlays_called(self) -> str:
        """The name of the pictures' folder when all is done; it lies beside the table."""
        return overlay_folder(self._out).name

    def starts(self) -> set[int]:
        """Give the number of each part's first image."""
        return {int(file.stem) for file in self._folder.glob("[0-9]*.parquet")}

    def write(self, start: int, table: pd.DataFrame) -> None:
        """Keep a part, whole or not at all; `start` is the number of its first image."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _told(self._folder):
            unfinished = self._folder / f".{uuid.uuid4().hex}"
            pq.write_table(
                pa.Table.from_pandas(table, _schema([str(name) for name in table]), preserve_index=False), unfinished
            )
            unfinished.replace(self._folder / f"{start:09d}.parquet")

    def columns(self) -> list[str]:
        """Give the names of all columns that any part has."""
        import pyarrow.parquet as pq

        return list(dict.fromkeys(name for file in self._files() for name in pq.read_schema(file).names))

    def read(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield these columns of the parts in the images' order; what a part does not have is missing in its rows."""
        import pyarrow.parquet as pq

        for file in self._files():
            names = set(pq.read_schema(file).names)
            table = pd.read_parquet(file, columns=[name for name in columns if name in names])
            yield table.reindex(columns=list(columns))

    def finish(self, columns: Sequence[str]) -> None:
        """Put the table with these columns, and the folder of overlays if there is any, in their places."""
        with _told(self._out.parent):
            whole = self._folder / f".whole{self._out.suffix.lower()}"
            (_write_csv if whole.suffix == ".csv" else _write_parquet)(whole, self.read(columns))
            pictures = overlay_folder(self._out)
            shutil.rmtree(pictures, ignore_errors=True)
            if self.overlays.is_dir():
                self.overlays.rename(pictures)
            whole.replace(self._out)
            self.discard()

    def discard(self) -> None:
        """Delete all of them, and what lies with them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.parquet"))


def overlay_folder(out: Path) -> Path:
    """Give the folder of overlays beside a table of predictions."""
    return out.with_name(f"{out.stem}_overlays")


def parts_folder(out: Path) -> Path:
    """Give the folder of a table's parts, while it is unfinished."""
    return out.with_name(f"{out.name}.parts")


def check_out_file(out: Path, *, fresh: bool) -> None:
    """Refuse a place for a table of predictions.

    Raises
    ------
    InputError
        Its ending is none of `ENDINGS`, it is a folder, it or its overlays are there and may not be replaced, or they
        are not what this command writes.
    """
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"--out: {out} is no table's name. Let it end in {' or '.join(ENDINGS)}.")
    with _told(out):
        parts_folder(out).exists()  # whether the system takes names as long as this
    if out.is_dir():
        raise InputError(f"--out: {out} is a folder. Name a file in it, such as {out / 'predictions.parquet'}.")
    pictures = overlay_folder(out)
    there = [str(place) for place in (out, pictures) if place.exists()]
    if there and not fresh:
        raise InputError(
            f"--out: {' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already, and nothing is "
            "overwritten. Name another file, or replace it by --fresh."
        )
    if pictures.is_dir() and any(entry.suffix != ".png" for entry in pictures.iterdir()):
        raise InputError(
            f"--out: the folder {pictures} holds what is no overlay, and would be replaced. Name another file."
        )


def check_not_read(place: str, out: Path) -> None:
    """Refuse to replace the very file that says what is to be predicted.

    Raises
    ------
    InputError
        The two are one file.
    """
    file = Path(place).expanduser()
    with _told(out):
        if file.is_file() and out.exists() and out.samefile(file):
            raise InputError(f"--out: {out} is what is to be predicted, and would be replaced. Name another file.")


def without_results(images: Sequence[AskedImage], out: Path) -> list[AskedImage]:
    """Leave out the overlays that earlier calls for this table have put into the folder whose images are predicted.

    Raises
    ------
    InputError
        No image is left.
    """
    own = (overlay_folder(out).resolve(), parts_folder(out).resolve())
    roots = {root: root.resolve() for root in {image.root for image in images}}
    kept = [
        image for image in images if not any((roots[image.root] / image.address).is_relative_to(place) for place in own)
    ]
    if not kept:
        raise InputError(f"All images there are overlays that were predicted into {out} before. Name another folder.")
    return kept


@contextmanager
def unfinished_parts(out: Path, fingerprint: str, *, fresh: bool) -> Iterator[Parts]:
    """Give the parts of a table of predictions: those of an earlier call for the same images and model, or none yet.

    Parameters
    ----------
    out : Path
        The table.
    fingerprint : str
        Of everything that decides the predictions; parts of another one are begun anew.
    fresh : bool
        Begin anew in any case.

    Raises
    ------
    InputError
        The folder cannot be written, or another call is writing to it.
    """
    folder = parts_folder(out)
    plan = folder / _PLAN
    if plan.exists() and not may_remove(plan):
        raise InputError(f"--out: another command is writing {out} at this moment. Wait for it, or name another file.")
    with _told(folder):
        if fresh or _planned(plan) != fingerprint:
            if folder.is_dir():
                _check_own(folder)
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            plan.write_text(json.dumps({"fingerprint": fingerprint}), encoding="utf-8")
        for leftover in folder.glob(".*"):
            leftover.unlink()
    handle = hold_shared(plan)
    try:
        yield Parts(folder, out)
    finally:
        if handle is not None:
            os.close(handle)


def _planned(plan: Path) -> str | None:
    try:
        return str(json.loads(plan.read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_own(folder: Path) -> None:
    """Refuse to replace a folder that is not ours."""
    if any(folder.iterdir()) and not (folder / _PLAN).is_file():
        raise InputError(
            f"--out: the folder {folder} is where unfinished predictions would lie, and it holds something else. Name "
            "another file."
        )


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise InputError(
            f"--out: {place} cannot be written: {fault.strerror or fault}. Name a file in a folder that you may write "
            "to, on a disk with room. What was finished is kept: the same command goes on from there."
        ) from fault


def _schema(columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    def kind(name: str) -> pa.DataType:
        return pa.string() if name in TEXTS else pa.bool_() if name in TRUTHS else pa.float64()

    return pa.schema([(name, kind(name)) for name in columns])


def _write_parquet(file: Path, tables: Iterator[pd.DataFrame]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(tables)
    schema = _schema([str(name) for name in first])
    with pq.ParquetWriter(file, schema) as writer:
        for table in chain([first], tables):
            writer.write_table(pa.Table.from_pandas(table, schema, preserve_index=False))


def _write_csv(file: Path, tables: Iterator[pd.DataFrame]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        for number, table in enumerate(tables):
            inert(table).to_csv(stream, index=False, header=number == 0)

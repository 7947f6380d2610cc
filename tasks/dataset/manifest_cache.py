"""What earlier runs found in the image files, so that an unchanged file is not decoded again."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_type_hints

from tasks.dataset.lookalikes.picture_facts import FACTS_VERSION
from tasks.dataset.pixels.addresses import split_address
from tasks.dataset.pixels.images import DECODER_VERSION
from tasks.dataset.pixels.shaping import Colour

if TYPE_CHECKING:
    import pyarrow as pa

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
    hashes: bytes
    brightness: float
    contrast: float
    sharpness: float
    commonest: float
    colour: bool
    red: float
    blue: float


FACTS = ImageFacts._fields[3:]
"""What only the audit wants to know."""

_ROWS = 1024
"""So many images are read and written at a time: the memory that it takes does not grow with their number."""
_N_STATE = len(FileState._fields)
_LARGEST = (1 << 63) - 1


def file_state(root: Path, address: str) -> FileState:
    """Return the state now of the file that holds an image; all numbers are -1 if it cannot be looked up.

    Parameters
    ----------
    root
        The data folder.
    address
        As in the manifest's column `path`.
    """
    try:
        status = (root / split_address(address)[0]).stat()
    except OSError:
        return FileState(address, -1, -1, -1)
    return FileState(address, status.st_size, status.st_mtime_ns, status.st_ino & _LARGEST)


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
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self._file, page_checksum_verification=True) as file:
                names = [*FileState._fields, *ImageFacts._fields]
                batches = (batch.select(names).to_pydict() for batch in file.iter_batches(_ROWS))
                rows = (row for columns in batches for row in zip(*columns.values(), strict=True))
                return {FileState(*row[:_N_STATE]): ImageFacts(*row[_N_STATE:]) for row in rows}
        except FileNotFoundError:
            return {}
        except Exception as fault:  # a damaged parquet file fails in many ways, and none of them matters
            logger.warning("The list of known images %s cannot be read and is made again: %s", self._file, fault)
            return {}

    def forget(self, address: str) -> None:
        """Let the next run decode an image again, whatever its file's state says."""
        known = self.load()
        if any(state.path == address for state in known):
            self.save((state, facts) for state, facts in known.items() if state.path != address)

    def save(self, facts: Iterable[tuple[FileState, ImageFacts]]) -> None:
        """Keep the facts for the next run; if they cannot be written, say so and go on."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema, rows = _schema(), ((*state, *fact) for state, fact in facts)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, suffix=".tmp")
            os.close(handle)
            try:
                with pq.ParquetWriter(name, schema, write_page_checksum=True) as file:
                    while some := list(islice(rows, _ROWS)):
                        columns = map(pa.array, zip(*some, strict=True), schema.types)
                        file.write_batch(pa.record_batch(list(columns), schema=schema))
                Path(name).replace(self._file)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as fault:
            logger.warning("The list of known images cannot be kept as %s: %s", self._file, fault)


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bytes: pa.binary(), bool: pa.bool_()}
    forms = (FileState, ImageFacts)
    return pa.schema([(name, kinds[kind]) for form in forms for name, kind in get_type_hints(form).items()])

"""The manifest: the table of images that everything else refers to by row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.config import Data, InputError
from tasks.dataset.corrections import Correction
from tasks.dataset.lookalikes.near_duplicates import Pairs
from tasks.dataset.lookalikes.picture_facts import picture_facts
from tasks.dataset.manifest_cache import FACTS, FactsCache, FileState, ImageFacts, file_state
from tasks.dataset.parallel import Progress, in_threads
from tasks.dataset.pixels.addresses import open_picture
from tasks.dataset.pixels.images import BLACK, ImageError, pixel_digest
from tasks.dataset.pixels.shaping import Colour
from tasks.dataset.sources.groups import groups_of
from tasks.dataset.sources.ignored import ignored_files
from tasks.dataset.sources.readers import ImageRecord, checked_root, read_records
from tasks.dataset.sources.tree import links_outside
from tasks.dataset.targets import Targets, read_labels
from tasks.dataset.wording import listed

TEXT_COLUMNS = ("path", "label", "group", "split", "fold", "sha256")
NUMBER_COLUMNS = ("width", "height")
DECLARED = "declared_group"
EXTRA = "extra."
"""What the names of columns begin with that a table of images has beside the known ones."""
_METADATA = b"foldcam.manifest"


@dataclass(frozen=True, eq=False)
class Manifest:
    """The table of images, one row an image, sorted by path."""

    table: pd.DataFrame
    """`path` (POSIX, below `root`, unique; an array's with `#row`, see `addresses`), `label`, `group` (what folds
    keep together: see `leaks.kept_together`; or None), `declared_group` (as the data says; or None), `split` (`holdout`
    or None), `fold` (name of the ready-made fold, or None), `sha256` (of the decoded pixels),
    `width` and `height` (pixels, upright), and what a table of images says besides: `extra.NAME` (or None)."""
    root: Path
    """The data folder, absolute."""
    targets: Targets
    """The kind of the labels, and the classes in order."""
    rejected: pd.DataFrame
    """`path`, `reason` and `code` (the audit's) of the images that are left out: they cannot be read, or have no
    label."""
    n_ignored_files: int = 0
    """Number of files that are neither images by the ending of their name nor tables or arrays that were read."""
    links_outside: tuple[str, ...] = ()
    """Links to images and folders outside `root`; not written."""
    ground: Colour = BLACK
    """The colour behind transparency, RGB, 0 to 255, for whoever opens an image again."""
    facts: pd.DataFrame | None = None
    """What decoding showed besides, one row an image, with the columns `manifest_cache.FACTS`, `inode`
    (0: unknown), `file_bytes` and `file_time` (ns; -1: unknown); not written."""
    pairs: Pairs | None = None
    """Pictures that look nearly the same, from `leaks.kept_together`; not written."""
    corrections: tuple[Correction, ...] = ()
    """What `data.corrections` says of labels, from `with_corrections`; the table has it already."""

    @cached_property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal, over kind of labels, classes and every row's texts: `TEXT_COLUMNS`."""
        digest = hashlib.sha256(_line([self.targets.kind, *self.classes]))
        columns = (self.table[name].tolist() for name in TEXT_COLUMNS)
        for row in zip(*columns, strict=True):
            digest.update(_line(row))
        return digest.hexdigest()

    def digest_of(self, path: str) -> str:
        """Return the SHA-256 of an image's pixels, by its path."""
        return self._digests[path]

    @cached_property
    def _digests(self) -> dict[str, str]:
        return dict(zip(self.table["path"], self.table["sha256"], strict=True))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in order; a class's place is its index everywhere."""
        return self.targets.classes

    @cached_property
    def y(self) -> NDArray[np.int64]:
        """The class or grade of every row, of shape (n_images,); which labels it has, (n_images, n_classes), 0 or 1."""
        return self.targets.numbers(self.table["label"].tolist())

    @property
    def strata(self) -> NDArray[np.int64]:
        """What is alike in kind, of shape (n_images,): the class, the grade, or the set of labels by a number."""
        if self.y.ndim == 1:
            return self.y
        return np.unique(self.y, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def write(self, path: Path) -> None:
        """Write the manifest as a Parquet file, the kind of labels, classes and rejected images in its metadata."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        extra = {
            "targets": asdict(self.targets),
            "rejected": self.rejected.to_dict("records"),
            "n_ignored_files": self.n_ignored_files,
            "ground": self.ground,
            "corrections": [said.to_json() for said in self.corrections],
        }
        text, number = pa.string(), pa.int64()
        texts = [*TEXT_COLUMNS, DECLARED, *(name for name in self.table if str(name).startswith(EXTRA))]
        schema = pa.schema([(name, text) for name in texts] + [(name, number) for name in NUMBER_COLUMNS])
        table = pa.Table.from_pydict({name: self.table[name].tolist() for name in schema.names}, schema=schema)
        pq.write_table(table.replace_schema_metadata({_METADATA: json.dumps(extra).encode()}), path)

    @classmethod
    def read(cls, path: Path, root: Path) -> Manifest:
        """Return the manifest that `write` wrote, for images below `root`.

        Raises
        ------
        InputError
            If the file is missing or no manifest.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            extra = json.loads((table.schema.metadata or {})[_METADATA])
        except (OSError, KeyError, ValueError, pa.ArrowException) as fault:
            raise InputError(f"{path} is not a manifest that foldcam wrote: {fault}") from fault
        return cls(
            table=_typed(table.to_pydict()),
            root=root.absolute(),
            targets=Targets(**extra["targets"] | {"classes": tuple(extra["targets"]["classes"])}),
            rejected=_rejected_table([tuple(row.values()) for row in extra["rejected"]]),
            n_ignored_files=extra["n_ignored_files"],
            ground=_colour(extra["ground"]),
            corrections=tuple(Correction.from_json(said) for said in extra.get("corrections", ())),
        )


class _Look(NamedTuple):
    state: FileState
    facts: ImageFacts | None
    reason: str = ""
    code: str = ""


def read_manifest(
    data: Data,
    *,
    cache_dir: Path | None = None,
    fresh: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Return the manifest of the images below `data.path`, each of them opened and fully decoded.

    Parameters
    ----------
    data
        The experiment file's `data`, its path absolute or relative to the working folder.
    cache_dir
        Where to remember what was found: the next call decodes only new and changed files.
    fresh
        Decode every file, whatever is remembered.
    workers
        Number of threads; by default one a core.
    progress
        Is called with the number of files done and to do, those remembered left out.

    Raises
    ------
    InputError
        If the folder, the labels, the groups or the classes are not right, or if an image cannot be read and
        `data.on_corrupt` is `stop`, or if none can.
    """
    root = checked_root(data.path)
    n_ignored, outside = len(ignored_files(root, data)), tuple(links_outside(root))
    found = read_records(data)
    records = [record for record in found if record.flaw is None]
    groups = groups_of(records, data, root)
    targets, labels = read_labels([(record.relative, record.label) for record in records], data)
    ground = data.preprocessing.transparency_color
    cache = None if cache_dir is None else FactsCache(cache_dir, root, ground)
    looks = _looks(records, root, ground, cache, fresh, workers, progress)
    rejected = [
        (record.relative, look.reason, look.code) for record, look in zip(records, looks, strict=True) if not look.facts
    ]
    _refuse_unreadable(rejected, len(records), root, data)
    rejected += [(record.relative, record.flaw, "labels.missing") for record in found if record.flaw is not None]
    read = [look.facts is not None for look in looks]
    seen = [look.facts for look in looks if look.facts]
    columns = {name: [getattr(facts, name) for facts in seen] for name in ("sha256", *NUMBER_COLUMNS)}
    columns |= _declared([*compress(records, read)], data)
    columns |= {"label": [*compress(labels, read)], "group": [*compress(groups, read)]}
    table = _typed(columns | {DECLARED: columns["group"]})
    facts = pd.DataFrame({name: _series([getattr(facts, name) for facts in seen]) for name in FACTS})
    facts["inode"] = [max(look.state.inode, 0) for look in looks if look.facts]
    facts["file_bytes"] = [look.state.size for look in looks if look.facts]
    facts["file_time"] = [look.state.mtime_ns for look in looks if look.facts]
    return Manifest(table, root, targets, _rejected_table(sorted(rejected)), n_ignored, outside, ground, facts)


def _looks(
    records: list[ImageRecord],
    root: Path,
    ground: Colour,
    cache: FactsCache | None,
    fresh: bool,
    workers: int | None,
    progress: Progress | None,
) -> list[_Look]:
    known = cache.load() if cache is not None and not fresh else {}
    remembered = [_remembered(record, root, known) for record in records] if known else [None] * len(records)
    new = [record for record, look in zip(records, remembered, strict=True) if look is None]
    found = in_threads(lambda record: _look(record, root, ground), new, workers=workers, progress=progress)
    in_turn = iter(found)
    looks = [next(in_turn) if look is None else look for look in remembered]
    if cache is not None and new:
        cache.save((look.state, look.facts) for look in looks if look.facts)
    return looks


def _remembered(record: ImageRecord, root: Path, known: Mapping[FileState, ImageFacts]) -> _Look | None:
    state = file_state(root, record.relative)
    return _Look(state, known[state]) if state in known else None


def _look(record: ImageRecord, root: Path, ground: Colour) -> _Look:
    state = file_state(root, record.relative)
    try:
        picture = open_picture(root, record.relative, ground)
    except ImageError as fault:
        return _Look(state, None, str(fault), fault.code)
    pixels, kind, mode, has_more = picture
    height, width, _ = pixels.shape
    seen = picture_facts(pixels)
    return _Look(state, ImageFacts(pixel_digest(pixels), width, height, kind, mode, has_more, *seen))


def _declared(records: list[ImageRecord], data: Data) -> dict[str, list[str | None]]:
    """Return what the reader says of the images beside labels and groups, a list for each column."""
    known: dict[str, list[str | None]] = {
        "path": [record.relative for record in records],
        "split": [_kept_split(record, data) for record in records],
        "fold": [record.fold for record in records],
    }
    names = sorted({name for record in records for name in record.extra})
    return known | {EXTRA + name: [record.extra.get(name) for record in records] for name in names}


def _kept_split(record: ImageRecord, data: Data) -> str | None:
    return "holdout" if record.split in data.held_out else None


def _refuse_unreadable(rejected: list[tuple[str, str, str]], n_images: int, root: Path, data: Data) -> None:
    if not rejected or (data.on_corrupt == "skip" and len(rejected) < n_images):
        return
    shown = listed([f"{path} ({reason})" for path, reason, _ in rejected], 10)
    way_out = "Mend or remove them" + (
        ", or go on without them: data.on_corrupt: skip" if len(rejected) < n_images else ""
    )
    raise InputError(f"{len(rejected):,} of {n_images:,} images in {root} cannot be read: {shown}. {way_out}.")


def _series(values: list[Any]) -> pd.Series[Any]:
    """Return the values as a column; texts and bytes stay the objects that they are, which other columns may share."""
    return pd.Series(values, dtype=object if isinstance(values[0], str | bytes) else None)


def _typed(columns: dict[str, list[Any]]) -> pd.DataFrame:
    extra = [name for name in columns if name.startswith(EXTRA)]
    texts = {name: pd.Series(columns[name], dtype=object) for name in (*TEXT_COLUMNS, DECLARED, *extra)}
    numbers = {name: pd.Series(columns[name], dtype="int64") for name in NUMBER_COLUMNS}
    return pd.DataFrame(texts | numbers)


def _rejected_table(rejected: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rejected, columns=["path", "reason", "code"], dtype=object)


def _colour(values: list[int]) -> Colour:
    red, green, blue = values
    return red, green, blue


def _line(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"

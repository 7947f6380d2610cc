"""What a reader says about one image, and the names of splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders, arrays and table cells, in small letters, that are taken for splits; the split each stands for."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image, before it is opened."""

    relative: str
    """Its address: the POSIX path below the data folder, with `#row` behind an array's (see `addresses`)."""
    label: str
    """Its class, in Unicode's composed form; empty if there is a `flaw`."""
    split: str | None = None
    """`train`, `val` or `test`, where the data says so."""
    fold: str | None = None
    """The name of its ready-made fold, where the data has folds."""
    group: str | None = None
    """What it belongs to, where a column of the data says so."""
    extra: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """A table's other columns, such as site or camera, for metrics of subgroups."""
    flaw: str | None = None
    """Why it is left out, whatever its pixels; None: it is not."""


NO_LABEL = "it has no label"
"""The flaw of an image that `data.unlabelled: skip` leaves out."""

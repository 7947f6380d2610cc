"""Readers: each knows one way to lay out a folder of images, and yields one record an image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tasks.config import Data, InputError
from tasks.dataset.labels import label_finder, plain
from tasks.dataset.tree import image_files, image_folders, loose_images
from tasks.dataset.wording import counted, listed, nearest, nearest_sibling

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Folder names, in small letters, that are taken for splits, and the split each stands for."""

_FOLD_NAME = re.compile(r"folds?[ _.-]*\d+\Z", re.IGNORECASE)


@dataclass(frozen=True)
class ImageRecord:
    """One image file, before it is opened."""

    path: Path
    """The file, absolute."""
    relative: str
    """Its POSIX path below the data folder."""
    label: str
    """Its class, in Unicode's composed form."""
    split: str | None = None
    """`train`, `val` or `test`, where the data says so."""
    fold: str | None = None
    """The name of its ready-made fold, where the data has folds."""


Read = Callable[[Path, Data], Iterator[ImageRecord]]


@dataclass(frozen=True)
class Reader:
    """A named reader and the test by which `auto` chooses it."""

    name: str
    read: Read
    fits: Callable[[Path], bool]


class Place(NamedTuple):
    """What the position of a file says about it."""

    label: str | None = None
    split: str | None = None
    fold: str | None = None


_READERS: dict[str, Reader] = {}


def register_reader(name: str, *, fits: Callable[[Path], bool] = lambda _: False) -> Callable[[Read], Read]:
    """Register the decorated function as the reader `name`.

    Parameters
    ----------
    name
        What `data.reader` says to have it.
    fits
        Whether a folder looks like this layout; `auto` takes the first reader that fits, in the order in which they
        were registered. By default, never.

    Raises
    ------
    ValueError
        If the name is taken.
    """

    def register(read: Read) -> Read:
        if name in _READERS or name == "auto":
            raise ValueError(f"a reader named {name!r} is registered already")
        _READERS[name] = Reader(name, read, fits)
        return read

    return register


def reader_names() -> list[str]:
    """Return the names of all readers, sorted."""
    return sorted(_READERS)


def find_reader(name: str, path: Path) -> Reader:
    """Return the reader of this name; for `auto`, the first one that fits the folder.

    Raises
    ------
    InputError
        If there is no such reader, or the folder mixes splits with other folders.
    """
    if name == "auto":
        _refuse_half_splits(path)
        return next(reader for reader in _READERS.values() if reader.fits(path))
    if name not in _READERS:
        like = nearest(name, reader_names())
        hint = f" Did you mean {like}?" if like else ""
        raise InputError(f"data.reader: unknown reader {name!r}.{hint} Known: auto, {', '.join(reader_names())}.")
    return _READERS[name]


def read_records(data: Data) -> list[ImageRecord]:
    """Return the records of all images below `data.path`, sorted by their relative path.

    Raises
    ------
    InputError
        If the folder is missing or holds no image, the reader is unknown, or images have no label or several.
    """
    root = checked_root(data.path)
    records = sorted(find_reader(data.reader, root).read(root, data), key=lambda record: record.relative)
    if not records:
        kinds = "PNG, JPEG, TIFF, BMP, GIF, WebP and the like, known by the ending of the name"
        raise InputError(f"The folder {root} holds no image ({kinds}). Point data.path at the folder of images.")
    return records


def checked_root(path: Path) -> Path:
    """Return the folder, absolute.

    Raises
    ------
    InputError
        If it is missing (with the nearest name beside it) or no folder.
    """
    root = path.expanduser().absolute()
    if root.is_dir():
        return root
    if root.exists():
        raise InputError(f"data.path must be a folder of images, and {root} is a file.")
    raise InputError(f"data.path: there is no folder {root}{nearest_sibling(root)}.")


def _has_split_folders(path: Path) -> bool:
    names = image_folders(path)
    return bool(names) and not loose_images(path) and all(name.lower() in SPLIT_NAMES for name in names)


def _has_fold_folders(path: Path) -> bool:
    names = image_folders(path)
    return len(names) > 1 and not loose_images(path) and all(_FOLD_NAME.match(name) for name in names)


def _has_only_loose_images(path: Path) -> bool:
    return not image_folders(path) and bool(loose_images(path))


def _refuse_half_splits(path: Path) -> None:
    names = image_folders(path)
    splits = [name for name in names if name.lower() in SPLIT_NAMES]
    others = [name for name in names if name.lower() not in SPLIT_NAMES]
    if others and len({SPLIT_NAMES[name.lower()] for name in splits}) > 1:
        raise InputError(
            f"{path} holds both split folders ({listed(splits)}) and others ({listed(others)}), so it is not clear "
            "what the classes are. Move the others away, or say data.reader: class_folders if all of them are classes."
        )


@register_reader("split_folders", fits=_has_split_folders)
def read_split_folders(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield records from `root/SPLIT/CLASS/**`, where SPLIT is train, val, valid, validation or test."""

    def place(parts: tuple[str, ...]) -> Place | None:
        split = SPLIT_NAMES.get(parts[0].lower()) if len(parts) > 1 else None
        if split is None:
            return None
        return Place(label=parts[1] if len(parts) > 2 else None, split=split)

    return _records(root, data, place, "train/CLASS/, val/CLASS/ or test/CLASS/")


@register_reader("fold_folders", fits=_has_fold_folders)
def read_fold_folders(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield records from ready-made folds: `root/FOLD/CLASS/**`, or `root/FOLD/image` with rules for the labels."""

    def place(parts: tuple[str, ...]) -> Place | None:
        if len(parts) == 1:
            return None
        return Place(label=parts[1] if len(parts) > 2 else None, fold=parts[0])

    return _records(root, data, place, "FOLD/CLASS/, or FOLD/ with data.labels.rules")


@register_reader("loose_files", fits=_has_only_loose_images)
def read_loose_files(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield records of images that lie anywhere below `root`, with labels by rules alone."""
    return _records(root, data, lambda _: Place(), "any folder, with data.labels.rules")


@register_reader("class_folders", fits=lambda _: True)
def read_class_folders(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield records from `root/CLASS/**`."""
    return _records(root, data, lambda parts: Place(label=parts[0] if len(parts) > 1 else None), "CLASS/")


def _records(
    root: Path, data: Data, place: Callable[[tuple[str, ...]], Place | None], layout: str
) -> Iterator[ImageRecord]:
    find = label_finder(data.labels)
    astray: list[str] = []
    unlabelled: list[str] = []
    clashing: list[str] = []
    for relative in image_files(root)[0]:
        parts = PurePosixPath(relative).parts
        at = place(parts)
        if at is None:
            astray.append(relative)
            continue
        labels = find(parts[-1]) if data.labels.rules else [plain(at.label)] if at.label is not None else []
        if len(labels) == 1:
            yield ImageRecord(root / relative, relative, labels[0], at.split, at.fold)
        elif labels:
            clashing.append(f"{relative} ({' and '.join(labels)})")
        else:
            unlabelled.append(relative)
    _refuse(root, data, layout, astray, unlabelled, clashing)


def _refuse(root: Path, data: Data, layout: str, astray: list[str], unlabelled: list[str], clashing: list[str]) -> None:
    if astray:
        raise InputError(
            f"{counted(len(astray), 'image')} in {root} lie outside the layout {layout}: {listed(astray)}. "
            "Move them, or choose another data.reader."
        )
    if clashing:
        raise InputError(
            f"data.labels.rules give {counted(len(clashing), 'image')} in {root} two labels: {listed(clashing)}. "
            "Make the rules narrower, so that each file name fits the rules of one label only."
        )
    if unlabelled and data.labels.rules:
        raise InputError(
            f"No rule of data.labels.rules fits {counted(len(unlabelled), 'image')} in {root}: {listed(unlabelled)}. "
            "Add a rule, or name their label with data.labels.otherwise."
        )
    if unlabelled:
        raise InputError(
            f"{counted(len(unlabelled), 'image')} in {root} lie in no class folder: {listed(unlabelled)}. "
            f"Put them into {layout}, or give data.labels.rules that tell the label from the file name."
        )

"""Readers of folders: classes, splits, ready-made folds, or images that lie loose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tasks.config import Data, InputError
from tasks.dataset.labels import label_finder, plain
from tasks.dataset.sources.reader_registry import register_reader
from tasks.dataset.sources.records import NO_LABEL, SPLIT_NAMES, ImageRecord
from tasks.dataset.sources.table import TABLE_SUFFIXES
from tasks.dataset.sources.tree import image_files, image_folders, loose_images
from tasks.dataset.wording import counted, listed

_FOLD_NAME = re.compile(r"folds?[ _.-]*\d+\Z", re.IGNORECASE)


class Place(NamedTuple):
    """What the position of a file says about it."""

    label: str | None = None
    split: str | None = None
    fold: str | None = None


def _has_split_folders(path: Path) -> bool:
    _refuse_half_splits(path)
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


@register_reader("split_folders", fits=_has_split_folders, rank=30)
def read_split_folders(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield records from `root/SPLIT/CLASS/**`, where SPLIT is train, val, valid, validation or test."""

    def place(parts: tuple[str, ...]) -> Place | None:
        split = SPLIT_NAMES.get(parts[0].lower()) if len(parts) > 1 else None
        if split is None:
            return None
        return Place(label=parts[1] if len(parts) > 2 else None, split=split)

    return _records(root, data, place, "train/CLASS/, val/CLASS/ or test/CLASS/")


@register_reader("fold_folders", fits=_has_fold_folders, rank=40)
def read_fold_folders(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield records from ready-made folds: `root/FOLD/CLASS/**`, or `root/FOLD/image` with rules for the labels."""

    def place(parts: tuple[str, ...]) -> Place | None:
        if len(parts) == 1:
            return None
        return Place(label=parts[1] if len(parts) > 2 else None, fold=parts[0])

    return _records(root, data, place, "FOLD/CLASS/, or FOLD/ with data.labels.rules")


@register_reader("loose_files", fits=_has_only_loose_images, rank=50)
def read_loose_files(root: Path, data: Data) -> Iterator[ImageRecord]:
    """Yield records of images that lie anywhere below `root`, with labels by rules alone."""
    return _records(root, data, lambda _: Place(), "any folder, with data.labels.rules")


@register_reader("class_folders", fits=lambda _: True, rank=90)
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
    for relative in image_files(root):
        parts = PurePosixPath(relative).parts
        at = place(parts)
        if at is None:
            astray.append(relative)
            continue
        labels = find(parts[-1]) if data.labels.rules else [plain(at.label)] if at.label is not None else []
        if len(labels) == 1:
            yield ImageRecord(relative, labels[0], at.split, at.fold)
        elif labels:
            clashing.append(f"{relative} ({' and '.join(labels)})")
        elif data.unlabelled == "skip":
            yield ImageRecord(relative, "", at.split, at.fold, flaw=NO_LABEL)
        else:
            unlabelled.append(relative)
    _refuse(root, data, layout, astray, unlabelled, clashing)


def _refuse(root: Path, data: Data, layout: str, astray: list[str], unlabelled: list[str], clashing: list[str]) -> None:
    if astray:
        raise InputError(
            f"{counted(len(astray), 'image')} in {root} lie outside the layout {layout}: {listed(astray)}. "
            "Move them, or choose another data.reader."
        )
    refuse_clashing_rules(clashing, f"in {root}")
    if unlabelled and data.labels.rules:
        refuse_unfitted_rules(unlabelled, f"in {root}")
    if unlabelled:
        tables = sorted(path.name for path in root.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
        beside = f"{listed(tables)} was not taken for their table, and data.reader: table says why. " if tables else ""
        raise InputError(
            f"{counted(len(unlabelled), 'image')} in {root} lie in no class folder: {listed(unlabelled)}. {beside}"
            f"Put them into {layout}, give data.labels.rules that tell the label from the file name, or leave them "
            "out with data.unlabelled: skip."
        )


def refuse_clashing_rules(images: list[str], where: str) -> None:
    """Raise an InputError if there are images that fit rules of two labels."""
    if images:
        raise InputError(
            f"data.labels.rules give {counted(len(images), 'image')} {where} two labels: {listed(images)}. "
            "Make the rules narrower, so that each file name fits the rules of one label only."
        )


def refuse_unfitted_rules(images: list[str], where: str) -> None:
    """Raise an InputError if there are images that fit no rule."""
    if images:
        raise InputError(
            f"No rule of data.labels.rules fits {counted(len(images), 'image')} {where}: {listed(images)}. "
            "Add a rule, name their label with data.labels.otherwise, or leave them out with data.unlabelled: skip."
        )

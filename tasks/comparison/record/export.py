"""The folders and tables of study E, made from what the fold runs have logged."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from tasks.comparison.study_e import COLUMNS
from tasks.config import InputError
from tasks.dataset.spreadsheets import inert
from tasks.explanation.gallery import unique_names
from tasks.explanation.out_folder import whole_or_nothing

_SIDES = {True: "Right", False: "Wrong"}


def export_study_e(
    rows: Mapping[str, pd.DataFrame], pictures: Mapping[str, Iterable[Path | None]], folder: Path
) -> None:
    """Write `<backbone>.csv`, and `<backbone>/All/{Right,Wrong}` and `<backbone>/FoldN/{Right,Wrong}` with overlays.

    The CSV files have `;` between the columns, a decimal comma and the columns `Fold;Image;Class;Pred;Conf;Right?`. An
    overlay has the image's path as its name, with `__` between folders, and stands under `All` and under its fold by
    the same name; names that some file system would take for one are told apart. Overlays are copied, so that nothing
    that is done to them touches the logged ones; what stands in two folders takes its space once where the file system
    has hard links. The folder is there whole or not at all.

    Parameters
    ----------
    rows : mapping of str to DataFrame
        By backbone, its predictions as `tasks.comparison.study_e.study_e_rows` gives them.
    pictures : mapping of str to iterable of Path or None
        By backbone, the file of each row's overlay, None where the image was not explained. A file is copied before
        the next one is asked for, so that it need not stay.
    folder : Path
        Where to; it must not be there yet, or be empty.

    Raises
    ------
    InputError
        If there is something in the folder, an overlay is not there, or the files cannot be written.
    ValueError
        If a backbone's table has other columns than study E's, or not one overlay a row.
    """
    for name, table in rows.items():
        if tuple(table.columns) != COLUMNS:
            raise ValueError(f"the table of {name!r} needs the columns {', '.join(COLUMNS)}")
    with whole_or_nothing(folder) as unfinished:
        for own, (name, table) in zip(unique_names(list(rows), ""), rows.items(), strict=True):
            inert(table).to_csv(
                unfinished / f"{own}.csv", sep=";", decimal=",", index=False, encoding="utf-8", lineterminator="\n"
            )
            _write_tree(unfinished / own, table, pictures[name])


def _write_tree(tree: Path, table: pd.DataFrame, pictures: Iterable[Path | None]) -> None:
    for place in ("All", *(f"Fold{fold}" for fold in sorted(set(table["Fold"])))):
        for side in _SIDES.values():
            (tree / place / side).mkdir(parents=True)
    stems = unique_names([str(image) for image in table["Image"]], "")
    for stem, fold, good, picture in zip(stems, table["Fold"], table["Right?"] == 1, pictures, strict=True):
        if picture is None:
            continue
        if not picture.is_file():
            raise InputError(
                f"The overlay `{picture}` was logged but is not there any more, so the export would not be whole. "
                "Bring it back, or do the fold run again with `foldcam run --fresh`."
            )
        file = f"{stem}{picture.suffix}"
        first = tree / "All" / _SIDES[good] / file
        shutil.copyfile(picture, first)
        _link(first, tree / f"Fold{fold}" / _SIDES[good] / file)


def _link(first: Path, second: Path) -> None:
    try:
        second.hardlink_to(first)
    except OSError:  # a file system without hard links, or no more of them for this file
        shutil.copyfile(first, second)

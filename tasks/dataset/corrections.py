"""Corrections of labels: the table that goes to the people who know, and the one that comes back filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from tasks.config import InputError
from tasks.dataset.labels import BLANKS, label_parts, plain, whole_numbers
from tasks.dataset.sources.table import TextTable, read_table
from tasks.dataset.spreadsheets import inert, text_as_written
from tasks.dataset.targets import Targets
from tasks.dataset.wording import counted, listed, nearest

COLUMNS = ("path", "given", "suggested", "probability", "margin", "correct", "by", "when", "sha256")
"""The columns of the table for annotators; `correct`, `by` and `when` are theirs to fill in."""

_NEEDED = ("path", "correct")
_MOST_FAULTS = 10


@dataclass(frozen=True)
class Correction:
    """What somebody says of one image's label."""

    path: str
    """The image, as in the manifest."""
    given: str
    """The label that the data has."""
    correct: str
    """The label that is right, as `Targets.texts` writes it; equal to `given` where that was confirmed."""
    by: str
    """Who says so."""
    when: date
    """The day on which it was said."""

    def to_json(self) -> dict[str, str]:
        """Give the fields as texts, the day as 2026-03-31."""
        return asdict(self) | {"when": self.when.isoformat()}

    @classmethod
    def from_json(cls, texts: Mapping[str, str]) -> Correction:
        """Give what `to_json` was made of."""
        path, given, correct, by = (texts[name] for name in ("path", "given", "correct", "by"))
        return cls(path, given, correct, by, date.fromisoformat(texts["when"]))


def write_for_annotators(suspects: pd.DataFrame, targets: Targets, path: Path) -> None:
    """Write suspect labels as a CSV file that spreadsheets open, with `correct`, `by` and `when` to be filled in.

    Parameters
    ----------
    suspects
        One row an image with the columns `path`, `sha256`, `given`, `suggested`, `probability` and `margin`.
    targets
        The kind of labels and the classes. An image without any label is told by its name for that.
    path
        The file, in UTF-8 with a byte-order mark.

    Raises
    ------
    InputError
        If the file is there already: somebody may have filled it in.
    """
    told = {name: [text or targets.none_name for text in suspects[name]] for name in ("given", "suggested")}
    table = suspects.assign(**told, correct="", by="", when="")[list(COLUMNS)]
    try:
        with path.open("x", encoding="utf-8-sig", newline="") as file:
            inert(table).to_csv(file, index=False, float_format="%.3f", lineterminator="\n")
    except FileExistsError:
        raise InputError(
            f"{path} is there already, and somebody may have filled it in. Move it away, or name another file."
        ) from None


def read_corrections(
    files: Sequence[Path], images: pd.DataFrame, targets: Targets, *, by: str | None = None, when: date | None = None
) -> tuple[Correction, ...]:
    """Return what tables that annotators have filled in say, in the order of the images' paths.

    Rows in which `correct` is blank say nothing. Where the tables have the columns `given` and `sha256`, both must be
    what the data has, so that a correction never meets another image or a label that has changed since. A later file
    may also be given the label that an earlier one has made of it: then it is a second round, and what it says holds.
    Other columns and the order of columns do not matter.

    Parameters
    ----------
    files
        CSV, TSV or Parquet files with the columns `path` and `correct`, in the order in which they were filled in.
    images
        The manifest's table: `path`, `label` and `sha256`.
    targets
        The kind of labels and the classes.
    by, when
        Who says so and on which day, for rows that do not say it in the columns `by` and `when` (as 2026-03-31).

    Raises
    ------
    InputError
        If a file cannot be read or lacks a column; or with line numbers, if rows name no image or label of the data,
        do not say by whom and when, contradict the data or each other.
    """
    labels_and_pixels = zip(images["label"], images["sha256"], strict=True)
    known = dict(zip(images["path"], labels_and_pixels, strict=True))
    said: dict[str, tuple[str, Correction]] = {}
    faults: list[str] = []
    for file in files:
        before = {path: correction.correct for path, (_, correction) in said.items()}
        for where, row in _rows(file, targets):
            try:
                correction = _correction(row, known, before, targets, by, when)
            except ValueError as fault:
                faults.append(f"{where}: {fault}")
                continue
            if _second_round(row, correction.given, before, targets):
                said[correction.path] = where, correction
            first, other = said.setdefault(correction.path, (where, correction))
            if other.correct != correction.correct:
                faults.append(
                    f"{where}: `{correction.path}` is {_name(correction.correct, targets)} here and "
                    f"{_name(other.correct, targets)} in {first}; settle it, and leave one of them blank"
                )
    if faults:
        raise InputError(
            f"{counted(len(faults), 'row')} of corrections cannot be taken: {'; '.join(faults[:_MOST_FAULTS])}"
            + (f"; and {len(faults) - _MOST_FAULTS} more." if len(faults) > _MOST_FAULTS else ".")
        )
    return tuple(said[path][1] for path in sorted(said))


def corrected(images: pd.DataFrame, corrections: Sequence[Correction]) -> pd.DataFrame:
    """Return the manifest's table with the labels that the corrections say; the table that is given stays as it is."""
    labels = {correction.path: correction.correct for correction in corrections}
    own = zip(images["path"], images["label"], strict=True)
    return images.assign(label=pd.Series([labels.get(path, label) for path, label in own], images.index, dtype=object))


def _rows(file: Path, targets: Targets) -> list[tuple[str, dict[str, str]]]:
    """Return the rows that are filled in, each with where it stands."""
    table = read_table(file, _NEEDED)
    names = [name.casefold() for name in table.columns]
    if missing := [name for name in _NEEDED if name not in names]:
        raise InputError(f"The table {file} has no column {listed(missing)}; it needs {' and '.join(_NEEDED)}.")
    columns = {name: _cells(table, place, name, targets) for place, name in enumerate(names) if name in COLUMNS}
    filled = [
        (f"{file.name}, {table.unit} {row.line}", dict(zip(columns, cells, strict=True)))
        for row, cells in zip(table.rows, zip(*columns.values(), strict=True), strict=True)
    ]
    return [(where, row) for where, row in filled if not _blank(row["correct"], targets)]


def _cells(table: TextTable, place: int, name: str, targets: Targets) -> list[str]:
    cells = [str(text_as_written(cell)) for cell in table.column(place)]
    several = targets.kind == "multilabel"
    return whole_numbers(cells) if name in ("given", "correct") and not several else cells


def _blank(cell: str, targets: Targets) -> bool:
    return cell in BLANKS and plain(cell) not in targets.classes


def _second_round(row: dict[str, str], label: str, before: dict[str, str], targets: Targets) -> bool:
    """Whether a row was written when earlier tables had been taken, and is about what they have made of the label."""
    given, earlier = row.get("given", ""), before.get(row["path"], label)
    return earlier != label and not _blank(given, targets) and _label(given, targets) == earlier


def _correction(
    row: dict[str, str],
    known: dict[str, tuple[str, str]],
    before: dict[str, str],
    targets: Targets,
    by: str | None,
    when: date | None,
) -> Correction:
    """Return what a row says; raise a ValueError that tells what is wrong with it."""
    path = row["path"]
    if path not in known:
        raise ValueError(f"there is no image `{path}` in the data")
    label, sha256 = known[path]
    if row.get("sha256", sha256) not in ("", sha256):
        raise ValueError(f"`{path}` has other pixels now than when the table was written")
    given = row.get("given", "")
    if not _blank(given, targets) and _label(given, targets) not in (label, before.get(path, label)):
        raise ValueError(f"`{path}` was {given} when the table was written and is {_name(label, targets)} now")
    who = row.get("by", "") or by
    if not who:
        raise ValueError("the column `by` does not say who made this correction")
    return Correction(path, label, _label(row["correct"], targets), who, _day(row.get("when", ""), when))


def _label(cell: str, targets: Targets) -> str:
    cell = plain(cell)
    several = targets.kind == "multilabel"
    if several and cell == targets.none_name:
        return targets.text(())
    parts = label_parts(cell, targets.separator) if several else [cell]
    for part in parts:
        if part not in targets.classes:
            like = nearest(part, targets.classes)
            hint = f"did you mean {like}?" if like else f"the labels are {listed(targets.classes, 20)}"
            raise ValueError(f"{part!r} is no label of the data; {hint}")
    return targets.text(parts) if several else cell


def _day(cell: str, default: date | None) -> date:
    if not cell:
        if default is None:
            raise ValueError("the column `when` does not say on which day this correction was made")
        return default
    try:
        return datetime.fromisoformat(cell).date()
    except ValueError:
        raise ValueError(f"`when` holds {cell!r}, which is no day written as 2026-03-31") from None


def _name(label: str, targets: Targets) -> str:
    return label or targets.none_name

"""Writes the parts of a comparison into files: tables as CSV and LaTeX, figures in the wanted formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.comparison.report.drawn import Drawn
from tasks.comparison.report.latex import latex_table
from tasks.comparison.section import Section, Table
from tasks.dataset.spreadsheets import inert
from tasks.tracking.records import Folder, Metrics, Record

TABLES, FIGURES = "tables", "figures"
"""Folders of the experiment run's artifacts."""


def section_content(sections: Sequence[Section], drawn: Drawn, folder: Path) -> Iterator[Record]:
    """Write the parts into `folder` and give the records of the experiment's run.

    Parameters
    ----------
    sections : sequence of Section
        The parts.
    drawn : mapping of str to mapping of str to bytes
        Their figures' files.
    folder : Path
        An empty folder.
    """
    for section in sections:
        for table in section.tables:
            write_table(table, folder / TABLES)
        for name, content in section.files.items():
            _made(folder / name).write_bytes(content)
        if section.metrics:
            yield Metrics(section.metrics)
    for name, files in drawn.items():
        for ending, content in files.items():
            _made(folder / FIGURES / f"{name}.{ending}").write_bytes(content)
    if any(folder.iterdir()):
        yield Folder(folder)


def write_table(table: Table, folder: Path) -> None:
    """Write a table as `NAME.csv` with all columns and, where people read it, `NAME.tex` with those that they read."""
    inert(table.frame).to_csv(_made(folder / f"{table.name}.csv"), index=False)
    if any(name in table.frame for name in table.titles):
        (folder / f"{table.name}.tex").write_text(latex_table(table), encoding="utf-8")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

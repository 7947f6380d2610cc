"""Writes the parts of a comparison into files: tables as CSV and LaTeX, figures in the wanted formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.comparison.section import Drawing, Section, Table
from tasks.settings.comparison import FigureFormat
from tasks.tracking.records import Folder, Metrics, Record

TABLES, FIGURES = "tables", "figures"
"""Folders of the experiment run's artifacts."""


def section_content(sections: Sequence[Section], formats: Sequence[FigureFormat], folder: Path) -> Iterator[Record]:
    """Write the parts into `folder` and give the records of the experiment's run.

    Parameters
    ----------
    sections : sequence of Section
        The parts.
    formats : sequence of str
        In which formats figures are written; `png` always is.
    folder : Path
        An empty folder.
    """
    for section in sections:
        for table in section.tables:
            write_table(table, folder / TABLES)
        for drawing in section.drawings:
            write_drawing(drawing, folder / FIGURES, formats)
        for picture in section.pictures:
            _made(folder / FIGURES / f"{picture.name}.png").write_bytes(picture.png)
        for name, content in section.files.items():
            _made(folder / name).write_bytes(content)
        if section.metrics:
            yield Metrics(section.metrics)
    if any(folder.iterdir()):
        yield Folder(folder)


def write_table(table: Table, folder: Path) -> None:
    """Write a table as `NAME.csv` with all columns and `NAME.tex` with those that people read."""
    table.frame.to_csv(_made(folder / f"{table.name}.csv"), index=False)
    shown = table.frame[[name for name in table.titles if name in table.frame]].rename(columns=dict(table.titles))
    text = shown.to_latex(index=False, escape=True, float_format="%.3f", caption=table.caption, na_rep="–")
    (folder / f"{table.name}.tex").write_text(text, encoding="utf-8")


def write_drawing(drawing: Drawing, folder: Path, formats: Sequence[FigureFormat]) -> None:
    """Draw a figure once and write it as `NAME.png` and in the other formats that are wanted."""
    from tasks.evaluation.style import save

    drawn = drawing.draw()
    save(drawn, _made(folder / f"{drawing.name}.png"))
    for name in formats:
        if name != "png":
            drawn.savefig(folder / f"{drawing.name}.{name}", bbox_inches="tight")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

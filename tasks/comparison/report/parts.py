"""The parts of a comparison as the report shows them: tables written out, pictures inside, numbered as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from tasks.comparison.report.drawn import SHARPNESS, Drawn, figures_of
from tasks.comparison.report.inline import Room, ShownPicture
from tasks.comparison.report.section_files import FIGURES
from tasks.comparison.report.shown_table import ShownTable, shown_table
from tasks.comparison.section import Drawing, Picture, Section

FIRST, LAST = ("statistics",), ("cost",)
"""The parts that stand right after the ranking, and those that stand after the audit; the others stand between."""


@dataclass(frozen=True)
class Part:
    """A part of the report.

    Attributes
    ----------
    key, title, sentences
        As of a section.
    tables, figures
        Each with its number.
    files
        Further files that lie beside the page.
    """

    key: str
    title: str
    sentences: Sequence[str]
    tables: Sequence[tuple[int, ShownTable]]
    figures: Sequence[tuple[int, ShownPicture]]
    files: Sequence[str]


@dataclass(frozen=True)
class Parts:
    """All parts, by where they stand in the report."""

    first: Sequence[Part]
    middle: Sequence[Part]
    last: Sequence[Part]


def shown_parts(sections: Sequence[Section], drawn: Drawn, room: Room) -> Parts:
    """Give the parts as the report shows them.

    Parameters
    ----------
    sections : sequence of Section
        In order.
    drawn : mapping of str to mapping of str to bytes
        The files of their figures.
    room : Room
        Takes the pictures in.
    """
    tables, figures = count(1), count(1)

    def part(section: Section) -> Part:
        shown = [found for table in section.tables if (found := shown_table(table)) is not None]
        taken = [_take(figure, drawn, room) for figure in figures_of(section)]
        return Part(
            key=section.key,
            title=section.title,
            sentences=section.sentences,
            tables=[(next(tables), table) for table in shown],
            figures=[(next(figures), figure) for figure in taken],
            files=list(section.files),
        )

    first = [part(own) for own in sections if own.key in FIRST]
    middle = [part(own) for own in sections if own.key not in (*FIRST, *LAST)]
    return Parts(first, middle, [part(own) for own in sections if own.key in LAST])


def _take(figure: Drawing | Picture, drawn: Drawn, room: Room) -> ShownPicture:
    is_drawing = isinstance(figure, Drawing)
    return room.take(
        drawn[figure.name]["png"],
        figure.caption,
        sharpness=SHARPNESS if is_drawing else 1,
        drawn=is_drawing,
        file=f"{FIGURES}/{figure.name}.png",
    )

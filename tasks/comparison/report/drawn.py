"""The figures of a comparison as files: each is drawn once, for the report and for those who want the file."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence

from tasks.comparison.section import Drawing, Picture, Section
from tasks.settings.comparison import FigureFormat

Drawn = Mapping[str, Mapping[str, bytes]]
"""By the figure's name and the file's ending, the file; `png` is always there."""

SHARPNESS = 2
"""How many dots of a figure stand for one of a page."""

_VECTOR = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "foldcam", "savefig.facecolor": "white"}
"""Letters that other programs can edit, and names inside the file that are the same each time."""

_UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


def draw_figures(sections: Sequence[Section], formats: Sequence[FigureFormat]) -> Drawn:
    """Draw the figures of all parts, each of them once.

    Parameters
    ----------
    sections : sequence of Section
        The parts.
    formats : sequence of str
        The formats that are wanted beside PNG.

    Raises
    ------
    ValueError
        Two figures, or two tables, have one name: one file would take the other's place.
    """
    figures = [figure for part in sections for figure in figures_of(part)]
    for names in ([figure.name for figure in figures], [table.name for part in sections for table in part.tables]):
        if twice := [name for name, n in Counter(names).items() if n > 1]:
            raise ValueError(f"Several tables or figures of a comparison are called {', '.join(twice)}.")
    return {
        figure.name: _files(figure, formats) if isinstance(figure, Drawing) else {"png": figure.png}
        for figure in figures
    }


def figures_of(section: Section) -> list[Drawing | Picture]:
    """Give the figures of a part, in the order in which they are shown."""
    return [*section.drawings, *section.pictures]


def _files(drawing: Drawing, formats: Sequence[FigureFormat]) -> dict[str, bytes]:
    """Give a figure's files; the same figure gives the same bytes."""
    import matplotlib

    from tasks.evaluation.style import DPI, save

    drawn = drawing.draw()
    files = {"png": io.BytesIO()}
    with matplotlib.rc_context(_VECTOR):
        for ending in formats:
            if ending != "png":
                files[ending] = io.BytesIO()
                drawn.savefig(files[ending], format=ending, bbox_inches="tight", metadata=_UNDATED[ending])
    save(drawn, files["png"], SHARPNESS * DPI)
    return {ending: file.getvalue() for ending, file in files.items()}

"""A part of what a comparison says: sentences, tables, figures and findings, before anybody draws or writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from tasks.dataset.audit.findings import Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Table:
    """A table of figures.

    Attributes
    ----------
    name : str
        What its files are called: small letters, digits and `_`.
    caption : str
        What it shows and on what, in a sentence.
    frame : DataFrame
        Its rows; numbers as numbers, texts as texts. Columns are named as machines read them; `titles` says what
        people read.
    titles : mapping of str to str
        The heads of the columns on pages; a column that is not named here stands in the files only.
    formats : mapping of str to callable
        How a column's values are written on pages; without one, numbers have three decimals.
    longest : int
        How many rows pages show; the files have all.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    titles: Mapping[str, str]
    formats: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    longest: int = 50


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that is yet to be drawn.

    Attributes
    ----------
    name : str
        What its files are called: small letters, digits and `_`.
    caption : str
        What it shows and on what, in a sentence.
    draw : callable
        Gives the matplotlib figure, without touching any global state.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that is there already, such as a sheet of images.

    Attributes
    ----------
    name, caption : str
        As of a drawing.
    png : bytes
        The file.
    """

    name: str
    caption: str
    png: bytes


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a comparison.

    Attributes
    ----------
    key : str
        A stable name: small letters, digits and `_`.
    title : str
        Its head on pages.
    sentences : tuple of str
        What it comes to, each a whole sentence, hedged as the numbers demand. The first one is the answer and may be
        taken into the summary of the whole.
    tables, drawings, pictures : tuples
        What it shows, in order.
    findings : tuple of Finding
        What a reader must know before believing a figure; they stand among the warnings.
    metrics : mapping of str to float
        Metrics of the experiment's run; finite numbers.
    backbone_metrics : mapping of str to mapping of str to float
        By backbone, metrics of its own run; finite numbers.
    files : mapping of str to bytes
        Further artifacts of the experiment's run, by their names.
    """

    key: str
    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    pictures: tuple[Picture, ...] = ()
    findings: tuple[Finding, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    backbone_metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

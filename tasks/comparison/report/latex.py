"""Tables as LaTeX, ready to be put into a paper."""

from __future__ import annotations

import re

import pandas as pd

from tasks.comparison.report.shown_table import is_number, written
from tasks.comparison.section import Table

LONGEST = 40
"""How many rows stand on one page; a longer table may break over pages."""

_WRITTEN = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\u00a0": "~",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "↺": r"$\circlearrowleft$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "°": r"$^\circ$",
    "…": r"\ldots{}",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "\u2009": r"\,",
}
_SPECIAL = re.compile("|".join(re.escape(letter) for letter in _WRITTEN))
_NEGATIVE = re.compile(r"(?<![\w.-])-(?=\d)")
"""The sign of a negative number, which must not be set as a hyphen."""


def latex_text(text: str) -> str:
    r"""Give a text in LaTeX: one line, and nothing in it is a command.

    Signs that mean something in LaTeX, at the beginning of a table's row too, and those that its standard fonts lack
    are written by their commands. Letters of other scripts stay; they need LuaLaTeX or XeLaTeX and a font for them.
    """
    line = "".join(letter if letter.isprintable() or letter in _WRITTEN else " " for letter in text)
    return _SPECIAL.sub(lambda found: _WRITTEN[found[0]], _NEGATIVE.sub("−", line))


def latex_table(table: Table) -> str:
    """Give the columns of a table that people read, written as on pages, as LaTeX with booktabs' rules.

    Numbers stand to the right, texts to the left. A table of more than `LONGEST` rows is a longtable.
    """
    shown = [name for name in table.titles if name in table.frame]
    heads = [latex_text(table.titles[name]) for name in shown]
    columns = [[latex_text(written(table, name, value)) for value in table.frame[name]] for name in shown]
    long = len(table.frame) > LONGEST
    text = pd.DataFrame(list(zip(*columns, strict=True)), columns=heads).to_latex(
        index=False,
        escape=False,
        longtable=long,
        column_format="".join("r" if is_number(table.frame[name]) else "l" for name in shown),
        caption=latex_text(table.caption),
        label=f"tab:{table.name}",
    )
    packages = ["booktabs", "amssymb", *(["longtable"] if long else [])]
    return f"% Needs \\usepackage{{{','.join(packages)}}}.\n{text}"

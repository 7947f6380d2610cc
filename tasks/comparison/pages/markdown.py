"""Markdown as MLflow's pages show it: tables, texts as they are, and as much as a description holds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tasks.comparison.report.shown_table import shown_table
from tasks.comparison.section import Table

MOST_ROWS = 12
GAP = "&nbsp;&nbsp;"
"""Ends each cell: MLflow's pages put no space between columns."""


def markdown_table(table: Table) -> str:
    """Give a table as Markdown; empty where nothing of it is for pages."""
    shown = shown_table(table)
    if shown is None or not shown.rows:
        return ""
    rows = [[head.title for head in shown.heads], *shown.rows[:MOST_ROWS]]
    lines = [f"| {' | '.join(escaped(text) + GAP for text in row)} |" for row in rows]
    lines.insert(1, f"|{'|'.join('--:' if head.is_number else ':--' for head in shown.heads)}|")
    left = shown.n_rows - MOST_ROWS
    return "\n".join(lines) + (f"\n\n… and {left} more" if left > 0 else "")


def escaped(text: str) -> str:
    """Give a text so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", " ".join(text.splitlines()))


def fitted(blocks: Iterable[str], room: int) -> str:
    """Join the blocks that are not empty, up to the first that does not fit into `room` characters."""
    kept: list[str] = []
    for block in filter(None, blocks):
        room -= len(block) + 2
        if room < 0:
            break
        kept.append(block)
    return "\n\n".join(kept)

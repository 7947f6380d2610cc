"""Prints backbones of several recorded experiments side by side, and what can be said of their differences."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.compare import summaries_of
from flows.compare_several import SHORT_ID, Row, Several
from flows.display import least_width
from tasks.comparison.text import NOTHING, between, interval, mean_and_spread, metric_title, number


def print_several(done: Several, console: Console) -> None:
    """Print the figures side by side, and what can be said of their differences."""
    table = _side_by_side(done, whole=True)
    console.print(table if least_width(table) <= console.width else _side_by_side(done, whole=False))
    for line in done.sentences:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _side_by_side(done: Several, *, whole: bool) -> Table:
    """Draw a row a backbone; where two were tested, the figures are those of the images that they have in common."""
    table = Table(title=f"Side by side: {metric_title(done.metric)}", title_justify="left")
    table.add_column("backbone", overflow="fold")
    over_folds = ["mean over folds", "95 % interval"] if whole else []
    alike = ["letters"] if done.letters else []
    for heading in (*over_folds, "pooled", "95 % interval", *alike, "folds", *(["data"] if whole else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in done.rows:
        found = row.own.found
        summary = summaries_of(found)[row.contender.backbone].get(done.metric)
        table.add_row(
            Text(row.label),
            *([mean_and_spread(summary), interval(summary)] if whole else []),
            *_pooled(done, row),
            *([done.letters.get(row.label, NOTHING)] if done.letters else []),
            f"{len(row.contender.fold_runs)}/{found.n_folds}",
            *([found.data_digest[:SHORT_ID]] if whole else []),
        )
    return table


def _pooled(done: Several, row: Row) -> tuple[str, str]:
    """Give a backbone's figure on pooled predictions and its interval, as the test has it or else the record."""
    for own in done.standings:
        if row.label in own.order and done.metric in own.metrics:
            score = own.score(row.label, done.metric)
            return number(score.value), between(score.low, score.high)
    backbone = row.own.found.backbones[row.contender.backbone]
    ends = backbone.oof_intervals.get(done.metric, {})
    return number(backbone.oof.get(done.metric)), between(ends.get("ci_low"), ends.get("ci_high"))

"""What people see while an experiment runs: a live grid on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from types import TracebackType
from typing import Any, Self

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tasks.comparison.ranking import mean_of, rank
from tasks.comparison.summary import Summary
from tasks.comparison.text import NOTHING, duration, interval, mean_and_spread, metric_title, number
from tasks.dataset.audit.audit import Audit
from tasks.workers.events import FoldEvent, StepEvent
from tasks.workers.progress import FINAL, Progress

_SHORT = {"starting": "start", "training": "train", "evaluating": "eval", "explaining": "explain", "logging": "log"}
_STYLES = {"completed": "green", "reused": "blue", "failed": "bold red", "retrying": "yellow", "waiting": "dim"}
_MARKS = {"completed": "✓", "reused": "↺", "failed": "✗", "running": "▸", "waiting": "·"}
_PLAIN_MARKS = {"completed": "+", "reused": "=", "failed": "x", "running": ">", "waiting": "."}
_CELLS = ((18, 2), (12, 2), (12, 1), (7, 2), (7, 1))
"""Width of a cell and of the gap behind it, from the roomiest to the narrowest."""
_NAME_WIDTH = 24
_SHOWN_FAILURES = 3


class GridDisplay:
    """A live grid of backbones × folds, with the step, the time gone by and the time left below it.

    Use it as a context manager, and call it with each event, from any thread. With too many folds for the
    terminal's width the grid gives way to counts a backbone.
    """

    def __init__(self, console: Console, progress: Progress, metric: str) -> None:
        self._console = console
        self._progress = progress
        self._metric = metric
        self._marks = _PLAIN_MARKS if console.options.ascii_only else _MARKS
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: FoldEvent | StepEvent) -> None:
        """Take in an event; the screen follows by itself."""
        self._progress.take(event)

    def render(self) -> RenderableType:
        """Draw the grid as it is now, for the console's present width."""
        events = self._progress.snapshot()
        parts: list[RenderableType] = [self._table(events, self._console.width)]
        failures = [event for event in events.values() if event.state == "failed"]
        for event in failures[:_SHOWN_FAILURES]:
            line = f"{self._marks['failed']} {_run_name(event)}: {_one_line(event.message) or 'failed'}"
            parts.append(Text(line, style="red", no_wrap=True, overflow="ellipsis"))
        if len(failures) > _SHOWN_FAILURES:
            parts.append(Text(f"  and {len(failures) - _SHOWN_FAILURES} more failed", style="red"))
        return Group(*parts, self._status(events))

    def _table(self, events: Mapping[tuple[str, int], FoldEvent], width: int) -> Table:
        names = min(max(len(name) for name in self._progress.backbones), _NAME_WIDTH)
        room = width - names
        n_folds = len(self._progress.folds)
        cell, gap = next(((cell, gap) for cell, gap in _CELLS if (cell + gap) * n_folds + gap <= room), (0, 2))
        if not cell:
            return self._counts(events)
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("", width=names, no_wrap=True, overflow="ellipsis")
        for fold in self._progress.folds:
            table.add_column(f"fold {fold}", width=cell, no_wrap=True, overflow="crop")
        for name in self._progress.backbones:
            table.add_row(name, *(self._cell(events[name, fold], cell) for fold in self._progress.folds))
        return table

    def _cell(self, event: FoldEvent, width: int) -> Text:
        style = _STYLES.get(event.state, "cyan")
        if event.state in FINAL or event.state == "waiting":
            value = "" if event.value is None else f" {number(event.value)}"
            return Text(f"{self._marks[event.state]}{value}", style=style)
        if event.state != "training" or event.epoch is None:
            return Text(_SHORT.get(event.state, "retry") if width < 12 else event.state, style=style)
        epoch = f"{event.epoch}/{event.epochs}" if event.epochs else str(event.epoch)
        value = "" if event.value is None or width < 12 else f" {event.value:.2f}"
        return Text(f"{'epoch ' if width > 12 else ''}{epoch}{value}", style=style)

    def _counts(self, events: Mapping[tuple[str, int], FoldEvent]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("", max_width=_NAME_WIDTH, no_wrap=True, overflow="ellipsis")
        table.add_column("mean", no_wrap=True)
        table.add_column("folds", no_wrap=True)
        for name in self._progress.backbones:
            own = [event for (backbone, _), event in events.items() if backbone == name]
            kinds = Counter(event.state if event.state in _MARKS else "running" for event in own)
            values = [e.value for e in own if e.state in ("completed", "reused") and e.value is not None]
            counts = Text("  ").join(
                Text(f"{mark} {kinds[kind]}", style=_STYLES.get(kind, "cyan"))
                for kind, mark in self._marks.items()
                if kinds[kind]
            )
            table.add_row(name, number(fmean(values)) if values else "", counts)
        return table

    def _status(self, events: Mapping[tuple[str, int], FoldEvent]) -> Text:
        step, left = self._progress.step, self._progress.remaining()
        parts = [] if step is None else [_step_text(step)]
        parts.append(f"{sum(event.state in FINAL for event in events.values())} of {len(events)} fold runs ended")
        parts.append(f"{duration(self._progress.elapsed())} gone")
        if left:
            parts.append(f"about {duration(left)} left")
        meanings = {"completed": f"test {metric_title(self._metric)}"}
        legend = "  ".join(f"{mark} {meanings.get(kind, kind)}" for kind, mark in self._marks.items())
        return Text(f"{', '.join(parts)}\n").append(legend, style="dim")


class LineDisplay:
    """One line for each change of state that matters, headed by the time gone by: for logs and pipes.

    Use it as a context manager, and call it with each event, from any thread.
    """

    def __init__(self, console: Console, progress: Progress, metric: str) -> None:
        self._console = console
        self._progress = progress
        self._metric = metric
        self._steps: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: FoldEvent | StepEvent) -> None:
        """Take in an event, and print a line if it matters."""
        changed = self._progress.take(event)
        if isinstance(event, StepEvent):
            line = "" if event.step in self._steps else event.step
            self._steps.add(event.step)
        else:
            line = self._line(event) if changed else ""
        if line:
            stamp = f"[{_clock(self._progress.elapsed())}]"
            self._console.print(f"{stamp} {line}", markup=False, highlight=False, soft_wrap=True)

    def _line(self, event: FoldEvent) -> str:
        score = "" if event.value is None else f", {metric_title(event.metric or self._metric)} {number(event.value)}"
        why = f": {_one_line(event.message)}" if event.message else ""
        count = f" ({self._progress.n_final()} of {len(self._progress.events)})"
        if event.state == "completed":
            seconds = self._progress.seconds_of(event.backbone, event.fold)
            took = "" if seconds is None else f" in {duration(seconds)}"
            return f"{_run_name(event)} done{took}{score}{count}"
        ends = {"starting": "started", "reused": f"reused{score}{count}"}
        ends |= {"failed": f"FAILED{why}{count}", "retrying": f"is tried again{why}"}
        return f"{_run_name(event)} {ends[event.state]}" if event.state in ends else ""


def display_for(
    console: Console, backbones: Sequence[str], folds: Sequence[int], metric: str, *, workers: int = 1
) -> GridDisplay | LineDisplay:
    """Give the live grid where `console` is a terminal, plain lines where it is not."""
    progress = Progress(backbones, folds, workers=workers)
    grid = console.is_terminal and not console.is_dumb_terminal
    return GridDisplay(console, progress, metric) if grid else LineDisplay(console, progress, metric)


OTHERS = ("accuracy", "roc_auc", "f1_macro", "cohen_kappa", "mean_absolute_error", "subset_accuracy", "hamming_loss")
"""What a ranking shows beside its own metric, as far as the kind of labels has it and there is room."""


def ranking_table(
    summaries: Mapping[str, Mapping[str, Summary]],
    metric: str,
    *,
    higher_is_better: bool,
    folds_completed: Mapping[str, int],
    n_folds: int,
    width: int = 100,
    others: Sequence[str] = OTHERS,
    letters: Mapping[str, str] | None = None,
) -> Table:
    """Draw the backbones from best to worst; of `others`, as many columns as `width` has room for.

    Those that share one of `letters` cannot be told apart; without letters there is no such column.
    """
    order = rank(summaries, metric, higher_is_better=higher_is_better)
    more = [name for name in others if name != metric and any(name in own for own in summaries.values())]
    while True:
        table = Table(title=f"Ranking by {metric_title(metric)}", title_justify="left")
        table.add_column("backbone", overflow="fold")
        alike = ["letters"] if letters else []
        for heading in (metric_title(metric), "95 % interval", *alike, "folds", *(metric_title(name) for name in more)):
            table.add_column(heading, justify="right", no_wrap=True)
        for name in order:
            own = summaries[name]
            main = own.get(metric)
            done = f"{folds_completed.get(name, 0)}/{n_folds}"
            figures = (number(mean_of(own, other)) for other in more)
            own_letters = [letters.get(name, NOTHING)] if letters else []
            table.add_row(name, mean_and_spread(main), interval(main), *own_letters, done, *figures)
        if not more or least_width(table) <= width:
            return table
        more.pop()


def counts_table(name: str, audited: Audit, *, width: int) -> Table:
    """Draw the images by class and fold of the first repeat; without room for every fold, the range over the folds."""
    counts = audited.counts
    folds = [str(column) for column in counts if column != "holdout"]
    folds = folds[: len(folds) // audited.n_repeats]
    least, most = counts[folds].min(axis=1), counts[folds].max(axis=1)
    ends = {"held out": counts["holdout"]} if "holdout" in counts else {}
    ends["all"] = pd.Series(audited.totals)
    ranges = [f"{one:,}" if one == other else f"{one:,} to {other:,}" for one, other in zip(least, most, strict=True)]
    first = f", the first of {audited.n_repeats} repeats" if audited.n_repeats > 1 else ""
    title = f"{name}: images by class and fold{first}"
    wide = _counts_table(title, {f"fold {fold}": counts[fold] for fold in folds} | ends)
    narrow = _counts_table(title, {f"each of {len(folds)} folds": pd.Series(ranges, index=counts.index)} | ends)
    return wide if least_width(wide) <= width else narrow


def _counts_table(title: str, columns: Mapping[str, pd.Series[Any]]) -> Table:
    table = Table(title=Text(title, style="table.title"), title_justify="left")
    table.add_column("class", overflow="fold")
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for label, *cells in pd.DataFrame(columns).itertuples():
        table.add_row(Text(str(label)), *(cell if isinstance(cell, str) else f"{cell:,}" for cell in cells))
    return table


def least_width(table: Table) -> int:
    """Return the width that a table needs to break no line."""
    probe = Console(width=1000)
    return Measurement.get(probe, probe.options, table).maximum


def _run_name(event: FoldEvent) -> str:
    return f"{event.backbone}/{event.fold}"


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _step_text(event: StepEvent) -> str:
    return event.step if event.total is None else f"{event.step} {event.done or 0} of {event.total}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"

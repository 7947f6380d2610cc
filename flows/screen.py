"""What is on the screen from the first step to the last: a spinner until the plan is known, then the grid."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from flows.display import GridDisplay, LineDisplay, display_for, ranking_table
from tasks.comparison.champion.crowned import told_of
from tasks.comparison.photographs import PhotographsResult
from tasks.comparison.results import ExperimentResult
from tasks.comparison.standings.recorded import letters_of, verdict_of
from tasks.comparison.text import count as counted
from tasks.evaluation.metrics import higher_is_better
from tasks.explanation.class_figures import percent
from tasks.workers.events import Event, FoldEvent, PlanEvent, StepEvent

SHOWN_PHOTOGRAPHS = 20


class Screen:
    """Listens to an experiment's events and shows them on a console.

    Use it as a context manager, and call it with each event, from any thread.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._status: Status | None = None
        self._display: GridDisplay | LineDisplay | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._stack.enter_context(self._console.status("starting"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            if isinstance(event, PlanEvent):
                self._begin(event)
        if self._display is not None and isinstance(event, FoldEvent | StepEvent):
            self._display(event)
        elif isinstance(event, StepEvent):
            self._before_the_plan(event)

    def _begin(self, plan: PlanEvent) -> None:
        if self._display is not None:
            return
        if self._status is not None:
            self._status.stop()
        display = display_for(self._console, plan.backbones, plan.folds, plan.metric, workers=plan.workers)
        self._stack.enter_context(display)
        self._display = display

    def _before_the_plan(self, event: StepEvent) -> None:
        count = "" if event.total is None else f" {event.done} of {event.total}"
        if self._status is not None:
            self._status.update(event.step + count)
        elif event.done in (None, event.total):
            self._console.print(event.step + count, markup=False, highlight=False)


def print_result(result: ExperimentResult | PhotographsResult, console: Console) -> None:
    """Print the ranking or the likeliest classes, what failed, and where to look."""
    if isinstance(result, PhotographsResult):
        _print_photographs(result, console)
        return
    finished = {name: own for name, own in result.backbones.items() if own.finished}
    if finished:
        table = ranking_table(
            {name: own.summaries for name, own in finished.items()},
            result.metric,
            higher_is_better=higher_is_better(result.metric),
            folds_completed={name: len(own.finished) for name, own in finished.items()},
            n_folds=max(len(summary.folds) for own in finished.values() for summary in own.summaries.values()),
            width=console.width,
            letters=letters_of(result.comparison),
        )
        console.print(table)
    for line in closing_lines(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing_lines(result: ExperimentResult) -> list[str]:
    """Give what is said under the ranking: what failed, what was reused, where to look."""
    runs = [fold for own in result.backbones.values() for fold in own.folds]
    counts: Mapping[str, int] = {
        status: sum(fold.status == status for fold in runs) for status in ("completed", "reused", "failed")
    }
    said = (f"{counted(number, 'fold run')} {status}" for status, number in counts.items() if number)
    lines = [", ".join(said) + "."]
    lines += [f"Failed: {fold.backbone}/{fold.fold}: {fold.error}" for fold in result.failures]
    if result.failures:
        lines.append("The same command tries the failed fold runs again and keeps the finished ones.")
    lines += [*verdict_of(result.comparison), *told_of(result.champion), *result.notes]
    if result.report is not None:
        lines.append(f"Report: {result.report}")
        if (page := Path(result.report).with_name("explanations.html")).exists():
            lines.append(f"Where each backbone looks: {page}")
    return [*lines, _where(result)]


def _where(result: ExperimentResult | PhotographsResult) -> str:
    remote = result.tracking_uri.startswith("http")
    place = result.tracking_uri if remote else "`foldcam ui` in this folder"
    return f"MLflow: {place}, experiment {result.experiment!r}"


def _print_photographs(result: PhotographsResult, console: Console) -> None:
    """Print the likeliest class of the first photographs by each backbone, what failed, and where to look."""
    finished = [name for name, own in result.backbones.items() if own.status != "failed"]
    if finished:
        best = result.predictions[result.predictions["rank"] == 1]
        table = Table(title="The likeliest class", title_justify="left")
        for heading in ("photograph", *finished):
            table.add_column(heading, overflow="fold")
        for image, rows in list(best.groupby("image"))[:SHOWN_PHOTOGRAPHS]:
            found = rows.set_index("backbone")
            cells = (f"{found['class'][name]}, {percent(found['probability'][name])}" for name in finished)
            table.add_row(escape(str(image)), *cells)
        console.print(table)
    for own in result.backbones.values():
        said = own.status if own.error is None else f"failed: {own.error}"
        console.print(f"{own.name}: {said}.", markup=False, highlight=False, soft_wrap=True)
    console.print(_where(result), markup=False, highlight=False, soft_wrap=True)

"""The command `foldcam schedule`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from flows.printing import say
from flows.schedule_options import (
    CronOption,
    EveryOption,
    OverlapOption,
    RruleOption,
    StartWithinOption,
    TimezoneOption,
)


def schedule(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file (YAML).")],
    cron: CronOption = None,
    every: EveryOption = None,
    rrule: RruleOption = None,
    timezone: TimezoneOption = None,
    overlap: OverlapOption = "skip",
    start_within: StartWithinOption = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.epochs=3.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do again what is done already.")] = False,
) -> None:
    """Run an experiment on a schedule, one run at a time, for as long as this command runs."""
    from flows.timing import read_timing
    from tasks.experiment_file import read_experiment

    timing = read_timing(cron, every, rrule, timezone=timezone, overlap=overlap, start_within=start_within)
    experiment = read_experiment(file, set_ or [])
    from flows.schedule import serve

    with contextlib.suppress(KeyboardInterrupt):
        serve(experiment, timing, fresh=fresh, say=say)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Run an experiment on a schedule, one run at a time.")(schedule)

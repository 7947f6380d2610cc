"""The command `foldcam schedule`."""

from __future__ import annotations

import contextlib

import typer

from flows.common_options import FileArgument, FreshOption, SetOption
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
    file: FileArgument,
    cron: CronOption = None,
    every: EveryOption = None,
    rrule: RruleOption = None,
    timezone: TimezoneOption = None,
    overlap: OverlapOption = "skip",
    start_within: StartWithinOption = None,
    set_: SetOption = None,
    fresh: FreshOption = False,
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

"""Options of the commands that run something again and again."""

from __future__ import annotations

from typing import Annotated

import typer

CronOption = Annotated[
    str | None,
    typer.Option("--cron", metavar="CRON", help='When to run, as a cron: "0 2 * * *" is every night at two.'),
]
EveryOption = Annotated[
    str | None, typer.Option("--every", metavar="SPAN", help="When to run, as a span: 30m, 6h, 1d or 2w.")
]
RruleOption = Annotated[
    str | None,
    typer.Option("--rrule", metavar="RULE", help='When to run, by RFC 5545: "FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=2".'),
]
TimezoneOption = Annotated[
    str | None,
    typer.Option("--timezone", metavar="NAME", help="Such as Europe/Berlin; default: the machine's own."),
]
OverlapOption = Annotated[
    str,
    typer.Option(
        "--overlap", metavar="skip|queue", help="A run that falls due while the last one works: left out, or later."
    ),
]
StartWithinOption = Annotated[
    str | None,
    typer.Option(
        "--start-within", metavar="SPAN", help="Leave out a run that starts later after its time; default: never."
    ),
]

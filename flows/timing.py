"""When a flow runs again and again: read from the command line, checked, and told in dates."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from tasks.config import InputError

Overlap = Literal["skip", "queue"]
"""What becomes of a run that falls due while the last one works."""

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
"""Seconds of what `--every` counts in."""

FIRST = datetime(2020, 1, 1)
"""The midnight that intervals are counted from, as Prefect's rules are, so that a restart does not shift them."""

_ZONE_FOLDER = "zoneinfo/"


@dataclass(frozen=True)
class Timing:
    """When a flow runs, and what becomes of runs that cannot start then.

    Attributes
    ----------
    kind : str
        `cron`, `every` or `rrule`.
    rule : str
        As it was given.
    timezone : str
        Of the IANA database; what hours and days are meant in.
    overlap : str
        `skip`: a run that falls due while the last one works is left out; `queue`: it waits its turn.
    start_within : timedelta or None
        A run that could not start so long after its time is left out; None: it starts whenever it can.
    """

    kind: Literal["cron", "every", "rrule"]
    rule: str
    timezone: str
    overlap: Overlap = "skip"
    start_within: timedelta | None = None

    @property
    def told(self) -> str:
        """The rule in words."""
        named = {"cron": f"the cron {self.rule!r}", "every": f"every {self.rule}", "rrule": f"the rule {self.rule!r}"}
        return f"{named[self.kind]} ({self.timezone})"

    def fields(self) -> dict[str, Any]:
        """Give the fields that Prefect's schedules take.

        Whole days and weeks are a rule of the calendar: Prefect's intervals would move by an hour with the clocks.
        """
        if self.kind != "every":
            return {self.kind: self.rule, "timezone": self.timezone}
        span = _interval("--every", self.rule)
        if span % timedelta(days=7) == timedelta(0):
            return {"rrule": f"FREQ=WEEKLY;BYDAY=MO;INTERVAL={span.days // 7}", "timezone": self.timezone}
        if span % timedelta(days=1) == timedelta(0):
            return {"rrule": f"FREQ=DAILY;INTERVAL={span.days}", "timezone": self.timezone}
        first = FIRST.replace(tzinfo=ZoneInfo(self.timezone))
        return {"interval": span, "anchor_date": first, "timezone": self.timezone}

    def next_dates(self, n: int = 3, after: datetime | None = None) -> list[datetime]:
        """Give the next dates as Prefect's server will compute them.

        Parameters
        ----------
        n : int
            How many at most.
        after : datetime or None
            With its time zone; None: now.

        Returns
        -------
        list of datetime
            In the schedule's time zone; fewer than `n` where the rule ends.
        """
        import asyncio

        from prefect.server.schemas import schedules

        forms = {
            "cron": schedules.CronSchedule,
            "interval": schedules.IntervalSchedule,
            "rrule": schedules.RRuleSchedule,
        }
        fields = self.fields()
        own: Any = next(form for name, form in forms.items() if name in fields)(**fields)
        start = datetime.now(UTC) if after is None else after
        zone = ZoneInfo(self.timezone)
        found = asyncio.run(own.get_dates(n=n, start=start))
        return [datetime.fromtimestamp(moment.timestamp(), zone) for moment in found]


def read_timing(
    cron: str | None = None,
    every: str | None = None,
    rrule: str | None = None,
    *,
    timezone: str | None = None,
    overlap: str = "skip",
    start_within: str | None = None,
) -> Timing:
    """Give the timing that options of the command line stand for.

    Raises
    ------
    InputError
        Not exactly one rule is given, or one of the options cannot be read, or the rule has no date to come.
    """
    given = {"cron": cron, "every": every, "rrule": rrule}
    named = [kind for kind, rule in given.items() if rule is not None]
    if len(named) != 1:
        said = (
            "Nothing says when to run." if not named else f"{' and '.join(f'--{k}' for k in named)} do not go together."
        )
        raise InputError(f'{said} Give one of --cron "0 2 * * *", --every 6h and --rrule "FREQ=WEEKLY;BYDAY=MO".')
    if overlap not in get_args(Overlap):
        raise InputError(f"--overlap {overlap!r} is neither skip nor queue.")
    kind: Any = named[0]
    zone = machine_timezone() if timezone is None else _checked_timezone(timezone)
    within = None if start_within is None else _interval("--start-within", start_within)
    timing = Timing(kind, str(given[kind]), zone, overlap, within)  # type: ignore[arg-type]
    _check_rule(timing)
    return timing


def machine_timezone() -> str:
    """Give the name of the time zone that this machine is set to; UTC where it does not say."""
    known = available_timezones()
    return next((name for name in _own_names() if name in known), "UTC")


def _own_names() -> Iterator[str]:
    yield os.environ.get("TZ", "").removeprefix(":")
    link = str(Path("/etc/localtime").resolve())
    yield link.partition(_ZONE_FOLDER)[2]
    try:
        yield Path("/etc/timezone").read_text(encoding="utf-8").strip()
    except OSError:
        return


def _checked_timezone(name: str) -> str:
    known = available_timezones()
    if name in known:
        return name
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Is {near[0]} meant?" if near else ""
    raise InputError(f"--timezone: there is no time zone {name!r}.{hint} Names are such as Europe/Berlin or UTC.")


def _interval(option: str, text: str) -> timedelta:
    parts = re.fullmatch(r"(\d+)\s*([mhdw])", text.strip())
    seconds = 0 if parts is None else int(parts[1]) * UNITS[parts[2]]
    if not 0 < seconds <= 3650 * UNITS["d"]:
        raise InputError(f"{option} {text!r} is no span of time: wanted such as 30m, 6h, 1d or 2w.")
    return timedelta(seconds=seconds)


def _check_rule(timing: Timing) -> None:
    try:
        if not timing.next_dates(1):
            raise InputError(f"--{timing.kind} {timing.rule!r} has no date to come: nothing would ever run.")
    except InputError:
        raise
    except Exception as fault:  # whatever Prefect's parsers of crons and rules raise
        raise InputError(_not_a_rule(timing, fault)) from None


def _not_a_rule(timing: Timing, fault: Exception) -> str:
    own: dict[str, Any] = next(iter(fault.errors()), {}) if hasattr(fault, "errors") else {}
    said = str(own.get("msg", "") or fault).removeprefix("Value error, ").strip().rstrip(".")
    if timing.kind == "cron":
        return (
            f"--cron {timing.rule!r} is not a cron: {said}. Five fields are wanted, minute to weekday, such as "
            '"0 2 * * *" for every night at two.'
        )
    return (
        f"--rrule {timing.rule!r} is not a rule of RFC 5545: {said}. Wanted is such as "
        '"FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=2;BYMINUTE=0".'
    )

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from flows.timing import Timing, machine_timezone, read_timing
from tasks.config import InputError
from tests.support.command import foldcam

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2026, 3, 27, 12, tzinfo=BERLIN), datetime(2026, 10, 23, 12, tzinfo=BERLIN)
"""Two days before clocks are set forward, and back."""


def dates(after, n=4, **rule):
    return read_timing(**rule, timezone="Europe/Berlin").next_dates(n, after)


def clock(moments):
    return [moment.strftime("%d %H:%M %z") for moment in moments]


@pytest.mark.parametrize("rule", [{"cron": "0 6 * * *"}, {"rrule": "FREQ=DAILY;BYHOUR=6;BYMINUTE=0"}])
def test_six_in_the_morning_stays_so_when_the_clocks_change(rule):
    assert clock(dates(SPRING, **rule)) == ["28 06:00 +0100", "29 06:00 +0200", "30 06:00 +0200", "31 06:00 +0200"]
    assert clock(dates(AUTUMN, **rule)) == ["24 06:00 +0200", "25 06:00 +0100", "26 06:00 +0100", "27 06:00 +0100"]


def test_an_hour_that_is_not_there_or_there_twice_runs_once_a_day():
    for after in (SPRING, AUTUMN):
        days = [moment.date() for moment in dates(after, 5, cron="30 2 * * *")]
        assert len(set(days)) == 5


@pytest.mark.parametrize("after", [SPRING, AUTUMN])
def test_a_day_is_a_day_of_the_calendar_and_hours_are_hours(after):
    assert {moment.strftime("%H:%M") for moment in dates(after, 6, every="1d")} == {"00:00"}
    weeks = dates(after, 3, every="1w")
    assert {(moment.strftime("%a %H:%M")) for moment in weeks} == {"Mon 00:00"}
    hours = dates(after, 12, every="6h")
    steps = {later.astimezone(UTC) - sooner.astimezone(UTC) for sooner, later in pairwise(hours)}
    assert steps == {timedelta(hours=6)}


def test_a_restart_does_not_shift_a_span():
    early, late = (dates(SPRING + timedelta(minutes=minutes), 2, every="90m") for minutes in (0, 61))
    assert early[1] == late[0]


@pytest.mark.parametrize(("every", "step"), [("2d", 2), ("2w", 14)])
def test_several_days_or_weeks_keep_their_distance(every, step):
    found = dates(SPRING, 3, every=every)
    assert [(later.date() - sooner.date()).days for sooner, later in pairwise(found)] == [step, step]


def test_a_rule_of_the_calendar_is_read_in_the_time_zone():
    found = dates(SPRING, 3, rrule="FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=2;BYMINUTE=30")
    assert [moment.strftime("%a %d %H:%M") for moment in found] == ["Mon 30 02:30", "Thu 02 02:30", "Mon 06 02:30"]


def test_without_a_time_zone_it_is_the_machines_own(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert read_timing(cron="0 2 * * *").timezone == "Asia/Kathmandu"
    monkeypatch.setenv("TZ", "Nowhere/Land")
    assert ZoneInfo(machine_timezone())


def test_what_it_says_names_rule_and_zone():
    assert read_timing(every="6h", timezone="UTC").told == "every 6h (UTC)"
    assert "0 2 * * *" in read_timing(cron="0 2 * * *", timezone="UTC").told


def test_the_defaults_skip_and_catch_up():
    timing = read_timing(every="6h", timezone="UTC")
    assert (timing.overlap, timing.start_within) == ("skip", None)
    given = read_timing(every="6h", timezone="UTC", overlap="queue", start_within="2h")
    assert given == Timing("every", "6h", "UTC", "queue", timedelta(hours=2))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "--every 6h"),
        ({"cron": "0 2 * * *", "every": "6h"}, "--cron and --every"),
        ({"cron": "61 2 * * *"}, "0 2 * * *"),
        ({"cron": "every night"}, "every night"),
        ({"rrule": "FREQ=SOON"}, "FREQ=WEEKLY"),
        ({"rrule": "FREQ=DAILY;COUNT=3"}, "no date to come"),
        ({"rrule": "FREQ=DAILY;UNTIL=20210101T000000"}, "no date to come"),
        ({"every": "0h"}, "2w"),
        ({"every": "6"}, "6h"),
        ({"every": "-6h"}, "6h"),
        ({"every": "999999999w"}, "6h"),
        ({"every": "6h", "timezone": "Europe/Berln"}, "Europe/Berlin"),
        ({"every": "6h", "timezone": "../../etc/passwd"}, "no time zone"),
        ({"every": "6h", "overlap": "both"}, "queue"),
        ({"every": "6h", "start_within": "soon"}, "--start-within"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_mend(options, told):
    with pytest.raises(InputError) as fault:
        read_timing(**options)
    assert told in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--timezone", "UTC"], "--timezone: it says how a schedule runs"),
        (["--overlap", "queue"], "--overlap: it says how a schedule runs"),
        (["--start-within", "2h"], "--start-within: it says how a schedule runs"),
        (["--every", "6h", "--size", "64", "--ordinal"], "--size, --ordinal: it does not go with a schedule"),
        (["--every", "6h", "--fresh"], "--fresh: it does not go with a schedule"),
        (["--every", "6h", "--trust"], "--trust: it does not go with a schedule"),
    ],
)
def test_predict_takes_no_option_that_would_do_nothing(options, told):
    assert told in foldcam("predict", "inbox", "--model", "models:/m@champion", "--out", "x.csv", *options).refused()

"""The command `foldcam clean`."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json, say
from tasks.config import InputError

if TYPE_CHECKING:
    from flows.clean import Cleaning

_AGE = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def clean(
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Only what is so old: 12h, 90d, 26w.")
    ] = None,
    keep_last: Annotated[
        int | None,
        typer.Option("--keep-last", metavar="N", min=1, help="Not the newest N runs of each experiment's name."),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed, single fold runs too.")] = False,
    models: Annotated[bool, typer.Option("--models", help="Only the networks of the runs; the rest stays.")] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Also what lies unused in the cache, for 30 days or for AGE.")
    ] = False,
    experiment: Annotated[
        list[str] | None, typer.Option("--experiment", metavar="NAME", help="Only runs of this name.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove old runs with all that they logged, and what foldcam has left on disk.

    Runs go where an age, a number to keep or --failed says so, and all that is said must hold. Always kept: what a
    registered model stands on, what later experiments reuse, what runs, and what waits for `foldcam sync`. Half-written
    files and scratch folders of killed processes go in any case.
    """
    from flows.clean import look, remove, summary
    from tasks.tracking.cleaning.rules import Rules

    age = None if older_than is None else _milliseconds(older_than)
    rules = Rules(age, keep_last, failed, models)
    if models and not rules.chooses_runs:
        raise InputError("--models: say whose networks are to go, by --older-than, --keep-last or --failed.")
    found = look(rules, experiment or [], cache=cache)
    if not as_json:
        _show(found)
    anything = bool(found.going or found.leaving)
    if dry_run or not anything:
        print_json(found.to_json(removed=False)) if as_json else say(summary(found, removed=False))
        return
    if not yes:
        _ask(found, as_json=as_json)
    answer = found.to_json(removed=True)
    said = summary(found, removed=True)
    remove(found, lambda line: None if as_json else say(line))
    print_json(answer) if as_json else say(said)


def _ask(found: Cleaning, *, as_json: bool) -> None:
    from flows.clean import summary

    if as_json or not sys.stdin.isatty():
        raise InputError(f"{summary(found, removed=False)} Nothing was removed: --yes does it without asking.")
    say(summary(found, removed=False))
    if not typer.confirm("Remove that?"):
        raise typer.Abort


def _show(found: Cleaning) -> None:
    from rich.table import Table

    if found.units:
        table = Table(title="Runs", title_justify="left")
        for heading in ("experiment", "run", "ended", "runs", "MB", "what becomes of it"):
            table.add_column(heading, justify="right" if heading in ("runs", "MB") else "left", overflow="fold")
        for unit in found.units:
            size = found.sizes.get(unit.top.run_id)
            table.add_row(
                unit.tree.experiment,
                f"{unit.top.name} {unit.top.run_id[:8]}",
                f"{datetime.fromtimestamp(unit.ended / 1000):%Y-%m-%d}",
                str(len(unit.runs)),
                "" if size is None else f"{size / 1e6:,.1f}",
                f"stays: {unit.why_kept}" if unit.why_kept else "its networks go" if found.rules.models else "goes",
            )
        console().print(table)
    if found.files:
        _show_files(found)


def _show_files(found: Cleaning) -> None:
    from rich.table import Table

    table = Table(title="Files", title_justify="left")
    for heading in ("what", "go", "MB", "stay", "because"):
        table.add_column(heading, justify="right" if heading in ("go", "MB", "stay") else "left")
    for what in dict.fromkeys(left.what for left in found.files):
        own = [left for left in found.files if left.what == what]
        going = [left for left in own if not left.why_kept]
        kept = [left.why_kept for left in own if left.why_kept]
        size = sum(left.size for left in going) / 1e6
        table.add_row(what, str(len(going)), f"{size:,.1f}", str(len(kept)), kept[0] if len(set(kept)) == 1 else "")
    console().print(table)


def _milliseconds(age: str) -> int:
    found = _AGE.fullmatch(age.strip().lower())
    if found is None:
        raise InputError(f"--older-than: {age!r} is no age. Write a number with h, d or w, such as 12h, 90d or 26w.")
    return int(int(found["number"]) * _UNITS[found["unit"]].total_seconds() * 1000)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Remove old runs, their files, and what is left or unused on disk.")(clean)

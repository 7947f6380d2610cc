"""The command `foldcam deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from flows.deploy import Deployed


def deploy(
    pool: Annotated[
        str | None,
        typer.Option("--pool", metavar="NAME", help="The work pool; default: foldcam-TYPE, made if missing."),
    ] = None,
    kind: Annotated[
        str, typer.Option("--type", metavar="process|docker|kubernetes", help="What its workers start.")
    ] = "process",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="experiment, check, explain, predict or nightly; several allowed."),
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option("--experiment", metavar="FILE", help="The experiment file that nightly runs.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="YAML", help="Your own file; default: infra/prefect.yaml.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give foldcam's flows to a work pool of Prefect's server, for workers to take up their runs."""
    from flows.deploy import deploy as apply

    done = apply(kind, pool=pool, only=only or (), experiment=experiment, file=file, dry_run=dry_run)
    _print(done, console(stderr=as_json))
    if as_json:
        print_json(done.to_json())


def _print(done: Deployed, screen: Console) -> None:
    """Print what was made, what was left out, and how to start a worker and a run."""
    would = "would be " if done.dry_run else ""
    lines = [f"The work pool {done.pool} ({done.kind}) {would}{'made' if done.pool_is_new else 'used as it is'}."]
    for own in done.deployments:
        what = f"{would}{'made' if own['is_new'] else 'updated'}"
        when = f", on {', '.join(repr(rule) for rule in own['schedules'])}" if own["schedules"] else ""
        lines.append(f"  {own['name']}: {what}{when}")
    lines += [f"  {name}: left out, {why}" for name, why in done.left_out.items()]
    if not done.dry_run:
        first = done.deployments[0]
        lines += [
            "Runs wait until a worker takes them. Start one where the images are:",
            f"  {done.worker}",
            "Start a run on Prefect's pages, or by:",
            f"  prefect deployment run '{first['flow']}/{first['name']}' --param file=/path/experiment.yaml"
            if first["flow"] in ("experiment", "check")
            else f"  prefect deployment run '{first['flow']}/{first['name']}'",
        ]
    for line in lines:
        screen.print(line, markup=False, highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Give the flows to a work pool, for workers to take up.")(deploy)

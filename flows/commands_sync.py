"""The command `foldcam sync`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json


def sync(
    moved: Annotated[
        bool, typer.Option("--moved", help="Also deliver what waits for other addresses: the server has moved.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Deliver the runs that wait on this machine because MLflow's server could not be reached."""
    from flows.sync import print_synced
    from flows.sync import sync as deliver

    found = deliver(any_address=moved)
    if as_json:
        print_json(found.to_json())
    else:
        print_synced(found, console())
    if found.sent.refused:
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Deliver the runs that wait for MLflow's server.")(sync)

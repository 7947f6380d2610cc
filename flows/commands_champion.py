"""The command `foldcam champion`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json


def champion(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The registered model; default: the one that changed last."),
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Make the previous champion the champion again.")] = False,
    promote: Annotated[
        str | None, typer.Option("--promote", metavar="VERSION", help="Make this version the champion.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the versions of a registered model and which one is the champion; go back, or choose another."""
    from flows.champion import print_standing, standing

    found = standing(name, back=back, promote=promote)
    print_standing(found, console(stderr=as_json))
    if as_json:
        print_json(found.to_json())


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Show the versions of a model; go back, or choose another.")(champion)

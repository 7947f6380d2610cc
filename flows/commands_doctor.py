"""The command `foldcam doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json


def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An experiment file: what it needs is looked at too.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not load TensorFlow, which takes some seconds and finds GPUs and sizes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at versions, devices, stores, sign-in, clocks, disk and memory, and say what to mend."""
    from flows.doctor import examine, print_diagnosis

    screen = console(stderr=True)
    if screen.is_terminal:
        with screen.status("looking") as status:
            diagnosis = examine(file, quick=quick, watch=status.update)
    else:
        diagnosis = examine(file, quick=quick)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        print_diagnosis(diagnosis, console())
    if diagnosis.state == "fault":
        raise typer.Exit(2)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Look at all that an experiment needs, and say what to mend.")(doctor)

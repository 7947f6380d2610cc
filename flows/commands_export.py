"""The command `foldcam export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json


def export(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Its name; the newest run of it is written.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A folder that is empty or not there yet.")],
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="Whose overlays; default: the first method of the experiment."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write an experiment's overlays as All and FoldN, Right and Wrong, and its predictions as CSV files."""
    import sys

    from flows.export import export as write
    from flows.export import print_export
    from flows.watching import watching

    try:
        with watching(console(stderr=True), "reading the record") as watch:
            done = write(experiment, out, method=method, watch=watch)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. Nothing was written.\n")
        raise typer.Exit(3) from None
    print_export(done, console(stderr=as_json))
    if as_json:
        print_json(done.to_json())


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Write the overlays and predictions of an experiment as files.")(export)

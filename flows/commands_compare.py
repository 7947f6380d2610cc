"""The command `foldcam compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json
from tasks.config import InputError


def compare(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT]...", help="Names (their newest run) or run ids; default: the newest."),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            "--backbone", metavar="NAME", help="Of several experiments, this backbone; default: each one's best."
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the comparison of an experiment's backbones, or compare several experiments, as MLflow has them."""
    from flows.compare import open_report, print_recorded, recorded
    from flows.compare_several import compare_several
    from flows.side_by_side import print_several

    screen = console(stderr=as_json)
    if experiments and len(experiments) > 1:
        several = compare_several(experiments, backbone, bring_reports=open_)
        if as_json:
            print_json(several.to_json())
        else:
            print_several(several, screen)
        shown = list(several.experiments)
    else:
        if backbone:
            raise InputError("--backbone: all backbones of one experiment are shown; it is for several experiments.")
        found = recorded(experiments[0] if experiments else None, bring_report=open_)
        if as_json:
            print_json(found.to_json())
        else:
            print_recorded(found, screen)
        shown = [found]
    for own in shown if open_ else []:
        open_report(own, screen)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Show which backbone is better, and how sure that is.")(compare)

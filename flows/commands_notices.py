"""The commands `foldcam notices`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json, say

if TYPE_CHECKING:
    from flows.notices import Notice

FolderOption = Annotated[
    Path | None, typer.Option("--folder", metavar="DIR", help="Your own notices; default: infra/notices.")
]

notices_app = typer.Typer(help="Who is told of failed and partial runs and of a new champion.", no_args_is_help=True)


@notices_app.command("apply")
def notices_apply(
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="KIND:ADDRESS",
            help="webhook:URL, slack:URL, teams:URL or email:ADDRESS; @FILE reads it from a file. Several allowed; "
            "default: where they go already.",
        ),
    ] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the notices on Prefect's server, or bring them up to date."""
    from flows.notices import apply_notices

    _tell(apply_notices(to or (), folder), as_json)


@notices_app.command("ls")
def notices_ls(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """List the notices that Prefect's server has."""
    from flows.notices import list_notices

    _tell(list_notices(folder), as_json)


@notices_app.command("remove")
def notices_remove(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Take the notices from Prefect's server."""
    from flows.notices import remove_notices

    _tell(remove_notices(folder), as_json)


@notices_app.command("test")
def notices_test() -> None:
    """Send a trial on the whole way, through Prefect's server."""
    from flows.notices import send_trial

    send_trial()
    say("Sent. Within seconds a notice with the subject 'foldcam: trial' should arrive.")


def _tell(found: list[Notice], as_json: bool) -> None:
    screen = console(stderr=as_json)
    for own in found:
        paused = "" if own.enabled else ", paused"
        change = "" if own.change == "unchanged" else f" ({own.change})"
        line = f"{own.name}{change}{paused}: to {', '.join(own.to) or 'nobody'}. {own.description}"
        screen.print(line, markup=False, highlight=False, soft_wrap=True)
    if not found:
        screen.print("Prefect's server has none. `foldcam notices apply --to webhook:URL` makes them.", highlight=False)
    if as_json:
        print_json({"notices": [own.to_json() for own in found]})


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(notices_app, name="notices")

"""The commands `foldcam login` and `foldcam logout`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.printing import say

UrlArgument = Annotated[
    str | None, typer.Argument(metavar="[URL]", help="The server's address; default: MLFLOW_TRACKING_URI.")
]


def login(
    url: UrlArgument = None,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="The user; default: is asked for.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
    ] = False,
) -> None:
    """Try user and password at a server of MLflow's or Prefect's and keep them in the system's keyring."""
    from flows.login import log_in

    say(log_in(url, user, from_stdin=password_stdin))


def logout(url: UrlArgument = None) -> None:
    """Remove a server's user and password from the system's keyring."""
    from flows.login import log_out

    say(log_out(url))


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(short_help="Keep a server's user and password in the system's keyring.")(login)
    app.command(short_help="Remove a server's user and password from the keyring.")(logout)

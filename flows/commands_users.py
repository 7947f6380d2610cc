"""The commands `foldcam users`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.common_options import JsonOption
from flows.printing import console, print_json, say

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The user.")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
]
RandomOption = Annotated[bool, typer.Option("--random", help="Make a password at random and show it once.")]
ExperimentOption = Annotated[
    str | None, typer.Option("--experiment", metavar="E", help="The experiment; '*' for all of them.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="M", help="The registered model; '*' for all of them.")
]

users_app = typer.Typer(help="The users of a team's MLflow server, and their rights.", no_args_is_help=True)


@users_app.command("ls")
def users_ls(as_json: JsonOption = False) -> None:
    """List the users with their rights."""
    from flows.users import server, user_table

    permissions = server()
    found = permissions.users()
    if as_json:
        print_json({"server": permissions.uri, "users": [user.to_json() for user in found]})
    else:
        console().print(user_table(found, permissions.uri))


@users_app.command("add")
def users_add(
    name: NameArgument,
    admin: Annotated[bool, typer.Option("--admin", help="Who may do everything.")] = False,
    random: RandomOption = False,
    password_stdin: StdinOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a user; the password is asked for."""
    from flows.passwords import new_password
    from flows.users import server

    permissions = server()
    password = new_password(name, at_random=random, from_stdin=password_stdin)
    permissions.add(name, password, admin=admin)
    if as_json:
        print_json({"name": name, "admin": admin, "password": password if random else None})
        return
    say(f"Made the {'administrator' if admin else 'user'} {name} at {permissions.uri}.")
    _show(name, password if random else None)


@users_app.command("remove")
def users_remove(name: NameArgument) -> None:
    """Remove a user and its rights; its runs and models stay."""
    from flows.users import server

    server().remove(name)
    say(f"Removed the user {name}.")


@users_app.command("password")
def users_password(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The user; default: yourself.")] = None,
    random: RandomOption = False,
    password_stdin: StdinOption = False,
) -> None:
    """Set a new password; it is asked for."""
    from flows.passwords import new_password
    from flows.users import server

    permissions = server()
    own = name or permissions.me.name
    password = new_password(own, at_random=random, from_stdin=password_stdin)
    permissions.set_password(own, password)
    say(f"{own} has a new password.")
    _show(own, password if random else None)
    if own == permissions.me.name:
        say(f"Sign in with it: `foldcam login {permissions.uri}`, or set MLFLOW_TRACKING_PASSWORD.")


@users_app.command("allow")
def users_allow(
    name: NameArgument,
    may: Annotated[
        str,
        typer.Option(
            "--may", metavar="RIGHT", help="On an experiment: read, edit, manage; a model: read, promote, manage."
        ),
    ],
    experiment: ExperimentOption = None,
    model: ModelOption = None,
) -> None:
    """Let a user do something with an experiment or a registered model; it replaces the right it has there."""
    from flows.users import server, target, told_right
    from tasks.tracking.rights import Right, mlflow_level

    right = Right(*target(experiment, model), may)
    mlflow_level(right)
    server().allow(name, right)
    say(f"{name} may {told_right(right)}.")


@users_app.command("deny")
def users_deny(name: NameArgument, experiment: ExperimentOption = None, model: ModelOption = None) -> None:
    """Let a user do nothing with an experiment or a registered model, not even read it."""
    from flows.users import server, target, told_right
    from tasks.tracking.rights import NOTHING, Right

    right = Right(*target(experiment, model), NOTHING)
    server().allow(name, right)
    say(f"{name} may {told_right(right)}.")


@users_app.command("reset")
def users_reset(name: NameArgument, experiment: ExperimentOption = None, model: ModelOption = None) -> None:
    """Take a user's own right away; what the server lets everyone do holds again."""
    from flows.users import server, target
    from tasks.tracking.rights import EVERY

    on, what = target(experiment, model)
    had = server().reset(name, on, what)
    where = f"every {on}" if what == EVERY else f"the {on} {what}"
    say(f"{name} {'has no right of its own any more' if had else 'had no right of its own'} on {where}.")


@users_app.command("import")
def users_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Users and their rights (YAML).")],
    as_json: JsonOption = False,
) -> None:
    """Make the users of a file and give them its rights; what is so already is left alone."""
    from flows.users import import_users

    done = import_users(file)
    if as_json:
        print_json(done.to_json())
        return
    for name, password in done.added.items():
        say(f"Made the user {name}.")
        _show(name, password)
    for line in done.changed:
        say(line)
    if not done.added and not done.changed:
        say("All is as the file says.")


def _show(name: str, password: str | None) -> None:
    if password is not None:
        say(f"The password of {name}, shown once: {password}")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(users_app, name="users")

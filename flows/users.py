"""The users of a team's MLflow server: listed, changed one by one, or brought in line with a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.table import Table
from rich.text import Text

from flows.passwords import random_password
from tasks.config import InputError
from tasks.tracking.permissions import Permissions
from tasks.tracking.rights import EVERY, NOTHING, Kind, Right, User, mlflow_level
from tasks.tracking.store import tracking_uri


def server() -> Permissions:
    """Give the users of the server that is set.

    Raises
    ------
    InputError
        It has none, or refuses.
    """
    return Permissions(tracking_uri())


def target(experiment: str | None, model: str | None) -> tuple[Kind, str]:
    """Give what a right is on.

    Raises
    ------
    InputError
        Neither or both are named.
    """
    if (experiment is None) == (model is None):
        raise InputError(
            "A right is on an experiment or on a registered model: give --experiment NAME or --model NAME."
        )
    return ("experiment", experiment) if experiment is not None else ("model", str(model))


def user_table(users: Sequence[User], uri: str) -> Table:
    """Give the users and their rights as a table."""
    table = Table(title=Text(f"Users of {uri}", style="table.title"), title_justify="left")
    for heading in ("user", "administrator", "may"):
        table.add_column(heading, overflow="fold")
    for user in users:
        table.add_row(Text(user.name), "yes" if user.admin else "", Text("\n".join(map(_told, user.rights))))
    return table


def told_right(right: Right) -> str:
    """Give a right as half a sentence: `edit the experiment retina`."""
    every = right.name == EVERY
    what = f"every {right.on}" if every else f"the {right.on} {right.name}"
    return f"do nothing with {what}" if right.may == NOTHING else f"{right.may} {what}"


def _told(right: Right) -> str:
    return told_right(right)[0].upper() + told_right(right)[1:]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    admin: bool = False
    experiments: dict[str, str] = Field(default_factory=dict)
    models: dict[str, str] = Field(default_factory=dict)

    def rights(self) -> list[Right]:
        return [
            *(Right("experiment", name, may) for name, may in self.experiments.items()),
            *(Right("model", name, may) for name, may in self.models.items()),
        ]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    users: Annotated[dict[str, _Entry | None], Field(min_length=1)]


@dataclass(frozen=True)
class Imported:
    """What a file of users changed.

    Attributes
    ----------
    added : dict of str to str
        The new users' passwords.
    changed : list of str
        What else was changed, a sentence each.
    """

    added: dict[str, str]
    changed: list[str]

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam users import --json`."""
        return {"added": [{"name": name, "password": own} for name, own in self.added.items()], "changed": self.changed}


def import_users(file: Path) -> Imported:
    """Make the users of a file that are not there yet, and give every one the rights that the file says.

    What the file does not name is left as it is, so that a second time changes nothing.

    Raises
    ------
    InputError
        The file cannot be used, or names what is not there, and nothing was changed; or the server refuses in the
        middle, and it says which users were made before.
    """
    wanted = {name: entry or _Entry() for name, entry in _read(file).users.items()}
    for entry in wanted.values():
        for right in entry.rights():
            mlflow_level(right)
    permissions = server()
    for entry in wanted.values():
        for right in entry.rights():
            permissions.check(right)
    admins = {user.name: user.admin for user in permissions.users()}
    done = Imported({}, [])
    try:
        for name, entry in wanted.items():
            _bring_in_line(permissions, name, entry, admins, done)
    except InputError as fault:
        if not done.added:
            raise
        raise InputError(
            f"{fault} Made before that, with passwords that nobody has seen: {', '.join(done.added)}. Give each a new "
            "one by `foldcam users password NAME --random`, and call again for the rest."
        ) from fault
    return done


def _bring_in_line(
    permissions: Permissions, name: str, entry: _Entry, admins: Mapping[str, bool], done: Imported
) -> None:
    if name not in admins:
        password = random_password()
        permissions.add(name, password, admin=entry.admin)
        done.added[name] = password
    elif admins[name] != entry.admin:
        permissions.set_admin(name, entry.admin)
        done.changed.append(f"{name} is {'now an administrator' if entry.admin else 'no administrator any more'}.")
    done.changed.extend(f"{name} may {told_right(own)}." for own in entry.rights() if permissions.allow(name, own))


def _read(file: Path) -> _File:
    try:
        return _File.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as fault:
        raise InputError(f"The file of users {file} cannot be read: {fault.strerror}.") from fault
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise InputError(f"The file of users {file} is no YAML: {str(fault).splitlines()[0]}.") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"The file of users {file}: {where}: {first['msg']}. It looks like this: users: {{anna: {{admin: true}}, "
            "ben: {experiments: {retina: edit}, models: {retina: promote}}}."
        ) from fault

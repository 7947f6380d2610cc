"""What a user may do at a team's MLflow server, in foldcam's words and in MLflow's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tasks.config import InputError
from tasks.dataset.wording import listed

Kind = Literal["experiment", "model"]

KINDS: tuple[Kind, ...] = ("experiment", "model")

EVERY = "*"
"""Stands for all experiments, or all models."""

NOTHING = "nothing"
"""The word for a right that takes all others away."""

RESOURCES: dict[Kind, str] = {"experiment": "experiment", "model": "registered_model"}
"""MLflow's names of the kinds."""

WORDS: dict[Kind, dict[str, str]] = {
    "experiment": {"read": "READ", "edit": "EDIT", "manage": "MANAGE", NOTHING: "DENY"},
    "model": {"read": "READ", "promote": "EDIT", "manage": "MANAGE", NOTHING: "DENY"},
}
"""MLflow's right for each word. To move an alias is to edit a registered model, and MLflow has no finer right."""


@dataclass(frozen=True)
class Right:
    """What a user may do with an experiment or a registered model.

    Attributes
    ----------
    on : {"experiment", "model"}
        Of what kind it is.
    name : str
        Its name; `*` for all.
    may : str
        One of the kind's `WORDS`; MLflow's own where it is none of them, such as `use`.
    """

    on: Kind
    name: str
    may: str


@dataclass(frozen=True)
class User:
    """A user of the server.

    Attributes
    ----------
    name, admin
        The user's name, and whether it may do everything.
    rights : tuple of Right
        Its own, as far as they are about experiments and models.
    """

    name: str
    admin: bool
    rights: tuple[Right, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give a user's object of `foldcam users ls --json`."""
        rights = [{"on": right.on, "name": right.name, "may": right.may} for right in self.rights]
        return {"name": self.name, "admin": self.admin, "rights": rights}


def mlflow_level(right: Right) -> str:
    """Give MLflow's name of a right.

    Raises
    ------
    InputError
        The word is none of the kind's.
    """
    words = WORDS[right.on]
    if right.may in words:
        return words[right.may]
    known = listed([word for word in words if word != NOTHING])
    if right.on == "model" and right.may == "edit":
        why = "To register versions of a model and to move its alias `champion` is one right in MLflow: promote."
    elif right.on == "experiment" and right.may == "promote":
        why = "To promote is a right on a registered model: --model NAME."
    else:
        why = f"{right.may!r} is no right."
    raise InputError(f"{why} On {'an experiment' if right.on == 'experiment' else 'a model'} one may {known}.")


def user_of(row: Mapping[str, Any], experiments: Mapping[str, str]) -> User:
    """Give a user as the server lists it.

    Parameters
    ----------
    row : mapping
        A user of MLflow's `users/list`, with roles and their permissions.
    experiments : mapping of str to str
        The experiments' names by their ids; a right on one that is gone is left out.
    """
    found = {right for role in row["roles"] for grant in role["permissions"] if (right := _right(grant, experiments))}
    ordered = sorted(found, key=lambda right: (right.on, right.name, right.may))
    return User(str(row["username"]), bool(row["is_admin"]), tuple(ordered))


def own_grants(row: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Give the permissions that a user has itself, and not through a role that it shares, by resource and pattern."""
    own = f"__user_{row['id']}__"
    grants = [grant for role in row["roles"] if role["name"] == own for grant in role["permissions"]]
    return {(str(grant["resource_type"]), str(grant["resource_pattern"])): grant for grant in grants}


def _right(grant: Mapping[str, Any], experiments: Mapping[str, str]) -> Right | None:
    kind = next((kind for kind in KINDS if RESOURCES[kind] == grant["resource_type"]), None)
    if kind is None:
        return None
    level, pattern = str(grant["permission"]), str(grant["resource_pattern"])
    word = next((word for word, own in WORDS[kind].items() if own == level), level.lower())
    name = pattern if kind == "model" or pattern == EVERY else experiments.get(pattern)
    return None if name is None else Right(kind, name, word)

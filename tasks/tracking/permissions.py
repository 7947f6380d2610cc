"""The users of a team's MLflow server: made, removed, given rights."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from tasks.config import InputError
from tasks.dataset.wording import listed, nearest
from tasks.tracking.refusals import refusal_of, without_sign_in
from tasks.tracking.rights import EVERY, RESOURCES, Kind, Right, User, mlflow_level, own_grants, user_of
from tasks.tracking.store import open_client

Given = TypeVar("Given")

_USERS = "/api/2.0/mlflow/users"
_GRANTS = "/api/3.0/mlflow/users/permissions"
_ROLE_GRANTS = "/api/3.0/mlflow/roles/permissions"


def who_am_i(uri: str) -> User:
    """Give the user that is signed in to a server.

    Raises
    ------
    InputError
        The server refuses, has no sign-in or does not answer.
    """
    found = _done(uri, lambda: _asked(uri, f"{_USERS}/current"))["user"]
    return User(str(found["username"]), bool(found["is_admin"]))


class Permissions:
    """The users of one server, as an administrator sees and changes them.

    Parameters
    ----------
    uri : str
        MLflow's address.

    Raises
    ------
    InputError
        It is no server, or none with a sign-in.
    """

    def __init__(self, uri: str) -> None:
        if not uri.startswith(("http://", "https://")):
            raise InputError(
                f"MLFLOW_TRACKING_URI names no server ({without_sign_in(uri)}), and only a server has users. Set it to "
                "the team's, such as https://foldcam.example.org/mlflow."
            )
        self.uri = uri
        self.me = who_am_i(uri)
        self._client: MlflowClient = open_client(uri)

    def users(self) -> list[User]:
        """Give all users with their own rights, by name."""
        names = self._names("experiment")
        return sorted((user_of(row, names) for row in self._rows()), key=lambda user: user.name)

    def has(self, name: str) -> bool:
        """Tell whether there is a user of this name."""
        return any(row["username"] == name for row in self._rows())

    def add(self, name: str, password: str, *, admin: bool = False) -> None:
        """Make a user.

        Raises
        ------
        InputError
            There is one of this name already, or the name or the password cannot be one.
        """
        if not name.strip() or ":" in name or not name.isprintable():
            raise InputError(f"{name!r} cannot be a user's name: it is empty, or has a colon or a control character.")
        if self.has(name):
            raise InputError(f"There is a user {name!r} already. `foldcam users password {name}` sets a new password.")
        self._call(f"{_USERS}/create", "POST", username=name, password=password)
        if admin:
            self.set_admin(name, True)

    def remove(self, name: str) -> None:
        """Remove a user and its rights; what it made stays.

        Raises
        ------
        InputError
            There is none of this name, or it is the one that is signed in.
        """
        self._row(name)
        if name == self.me.name:
            raise InputError(f"{name!r} is who you are signed in as. Another administrator can remove it.")
        self._call(f"{_USERS}/delete", "DELETE", username=name)

    def set_admin(self, name: str, admin: bool) -> None:
        """Make a user an administrator, or an administrator a user like others."""
        self._call(f"{_USERS}/update-admin", "PATCH", username=name, is_admin=admin)

    def set_password(self, name: str, password: str) -> None:
        """Give a user a new password; whoever is no administrator can do so for itself alone.

        Raises
        ------
        InputError
            There is no user of this name, it is another's and one is no administrator, or it is the present one.
        """
        current: dict[str, Any] = {}
        if name == self.me.name:
            current = {"current_password": os.environ.get("MLFLOW_TRACKING_PASSWORD")}
        else:
            self._row(name)
        self._call(f"{_USERS}/update-password", "PATCH", username=name, password=password, **current)

    def allow(self, name: str, right: Right) -> bool:
        """Give a user a right in place of the one it has there; give whether that changed anything.

        Raises
        ------
        InputError
            There is no such user, experiment or model, or the word is none of its kind.
        """
        level, row, resource = mlflow_level(right), self._row(name), RESOURCES[right.on]
        pattern = self._pattern(right.on, right.name)
        known = own_grants(row).get((resource, pattern))
        if known is None:
            where = {"username": name, "resource_type": resource, "resource_id": pattern}
            self._call(f"{_GRANTS}/grant", "POST", **where, permission=level)
        elif known["permission"] != level:
            self._call(f"{_ROLE_GRANTS}/update", "PATCH", role_permission_id=int(known["id"]), permission=level)
        return known is None or known["permission"] != level

    def check(self, right: Right) -> None:
        """Refuse a right on what is not there.

        Raises
        ------
        InputError
            There is no such experiment or model.
        """
        self._pattern(right.on, right.name)

    def reset(self, name: str, on: Kind, what: str) -> bool:
        """Take a user's own right away, so that the server's default holds again; give whether there was one.

        Raises
        ------
        InputError
            There is no such user, experiment or model.
        """
        grants, resource = own_grants(self._row(name)), RESOURCES[on]
        gone = on == "model" and (resource, what) in grants
        pattern = what if gone else self._pattern(on, what)
        if (resource, pattern) not in grants:
            return False
        self._call(f"{_GRANTS}/revoke", "POST", username=name, resource_type=resource, resource_id=pattern)
        return True

    def _do(self, call: Callable[[], Given]) -> Given:
        return _done(self.uri, call)

    def _call(self, path: str, method: str, **fields: Any) -> dict[str, Any]:
        return self._do(lambda: _asked(self.uri, path, method, **fields))

    def _rows(self) -> list[dict[str, Any]]:
        return list(self._call(f"{_USERS}/list", "GET")["users"])

    def _row(self, name: str) -> dict[str, Any]:
        rows = {str(row["username"]): row for row in self._rows()}
        if name not in rows:
            near = nearest(name, list(rows))
            hint = f" Is {near} meant?" if near else ""
            raise InputError(f"There is no user {name!r} at {self.uri}.{hint} `foldcam users ls` lists them.")
        return rows[name]

    def _names(self, kind: Kind) -> dict[str, str]:
        """Give the names of the experiments or models by what MLflow grants rights on: an id, or the name."""
        if kind == "experiment":
            found = self._do(lambda: _all_of(self._client.search_experiments))
            return {str(own.experiment_id): str(own.name) for own in found}
        return {
            str(own.name): str(own.name) for own in self._do(lambda: _all_of(self._client.search_registered_models))
        }

    def _pattern(self, kind: Kind, name: str) -> str:
        if name == EVERY:
            return EVERY
        known = {own: pattern for pattern, own in self._names(kind).items()}
        if name not in known:
            near = nearest(name, list(known))
            hint = f"Is {near} meant?" if near else f"There are: {listed(sorted(known), 10) or 'none'}."
            what = "experiment" if kind == "experiment" else "registered model"
            raise InputError(
                f"There is no {what} {name!r} at {self.uri}. {hint} Rights are given on what is there; '*' stands for "
                "all, now and later."
            )
        return known[name]


def _done(uri: str, call: Callable[[], Given]) -> Given:
    """Give what a call gives; put a refusal into plain words, and none of MLflow's: they hold a password's digest."""
    try:
        return call()
    except MlflowException as fault:
        refused = refusal_of(fault, uri)
        if refused is not None:
            raise refused from None
        if fault.get_http_status_code() == 404:
            raise InputError(
                f"The MLflow server at {uri} has no sign-in, and so no users. Whoever runs it starts it with "
                "`--app-name basic-auth`."
            ) from None
        if fault.error_code == "INVALID_PARAMETER_VALUE":
            raise InputError(
                f"MLflow's server at {uri} refused: {str(fault).partition(': ')[2].rstrip('.')}."
            ) from None
        raise InputError(
            f"MLflow's server at {uri} did not do it ({fault.error_code}). Check MLFLOW_TRACKING_URI and that the "
            "server runs; its log says more."
        ) from None


def _asked(uri: str, path: str, method: str = "GET", **fields: Any) -> dict[str, Any]:
    """Ask MLflow's interface for users, which its own client offers only where the server's parts are installed."""
    body = {"json": fields} if fields else {}
    answer = verify_rest_response(http_request(get_default_host_creds(uri), path, method, **body), path)
    return dict(answer.json())


def _all_of(search: Callable[..., Any]) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = search(max_results=200, page_token=token)
        found += page
        token = page.token
        if not token:
            return found

"""What a team's server means by 401 and 403, and addresses that hold a password."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tasks.config import InputError
from tasks.settings.base import causes

UNAUTHENTICATED, FORBIDDEN = 401, 403

_ENDPOINT = re.compile(r"endpoint \S*/mlflow/(\S+)")
_OF_MODELS = ("registered-models", "model-versions", "logged-models")
_OF_ADMINISTRATORS = ("users", "roles")
_FOREIGN_HOST = "Invalid Host header"


def checked_address(uri: str, variable: str = "MLFLOW_TRACKING_URI") -> str:
    """Give a server's address as it is.

    Raises
    ------
    InputError
        It holds a user or a password: an address is shown, logged and recorded.
    """
    if _is_served(uri) and "@" in urlsplit(uri).netloc:
        bare = without_sign_in(uri)
        given = f"Set {variable}={bare}" if variable.isupper() else f"Give {bare}"
        mend = (
            f"{given} and store user and password once with `foldcam login {bare}`, or give them in "
            f"{' and '.join(_names_of_sign_in(variable))}."
        )
        raise InputError(f"{variable} holds a user or a password, and an address is shown, logged and recorded. {mend}")
    return uri


def without_sign_in(uri: str) -> str:
    """Give an address without the user and the password that it may hold, as it can be shown."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def without_password_of(uri: str, text: str) -> str:
    """Give a text without the password that an address holds, wherever it stands in it."""
    password = urlsplit(uri).password if "@" in uri else None
    shown = text.replace(uri, without_sign_in(uri))
    return shown.replace(password, "…") if password else shown


def refusal_of(fault: BaseException, uri: str | None = None) -> InputError | None:
    """Give what to tell the user where a server has refused a call; None where the fault is another one.

    Parameters
    ----------
    fault : BaseException
        What was raised; what it was raised from is looked at too.
    uri : str or None
        MLflow's address; None: MLFLOW_TRACKING_URI's.
    """
    server = os.environ.get("MLFLOW_TRACKING_URI", "") if uri is None else uri
    for own in causes(fault):
        if isinstance(own, InputError):
            return None
        code, url = _answered(own, server)
        if code not in (UNAUTHENTICATED, FORBIDDEN):
            continue
        if url is not None and _is_same_server(url, server):
            return InputError(_of_mlflow(code, str(own), without_sign_in(server)))
        api = os.environ.get("PREFECT_API_URL", "")
        if url is not None and _is_same_server(url, api):
            return InputError(_of_prefect(code, without_sign_in(api)))
    return None


def _answered(fault: BaseException, server: str) -> tuple[int, str | None]:
    """Give the HTTP status that a fault stands for and the address that answered; 0 where it stands for none."""
    response: Any = getattr(fault, "response", None)
    if response is not None:
        return int(getattr(response, "status_code", 0) or 0), str(getattr(response, "url", "") or "")
    status = getattr(fault, "get_http_status_code", None)
    return (int(status()), server) if callable(status) and _is_served(server) else (0, None)


def _is_same_server(url: str, server: str) -> bool:
    return _is_served(server) and urlsplit(url).netloc.rpartition("@")[2] == urlsplit(server).netloc.rpartition("@")[2]


def _is_served(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _of_mlflow(code: int, said: str, server: str) -> str:
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if code == UNAUTHENTICATED:
        if user or os.environ.get("MLFLOW_TRACKING_TOKEN"):
            who = f"the user {user!r} with this password" if user else "this token"
            return (
                f"MLflow's server at {server} does not take {who}. Correct MLFLOW_TRACKING_USERNAME and "
                f"MLFLOW_TRACKING_PASSWORD, or sign in again with `foldcam login {server}`; an administrator sets a "
                "new password with `foldcam users password NAME`."
            )
        return (
            f"MLflow's server at {server} wants a sign-in. Store it once with `foldcam login {server}`, or set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if _FOREIGN_HOST in said:
        return (
            f"MLflow's server does not answer to the name in {server}. Whoever runs it adds the name to its "
            "--allowed-hosts."
        )
    endpoint = _ENDPOINT.search(said)
    what = endpoint.group(1) if endpoint else "an artifact"
    name = user or "NAME"
    if what.startswith(_OF_ADMINISTRATORS):
        return (
            f"MLflow's server at {server} lets administrators alone do this, and {name!r} is none. Sign in as one: "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    mend = "--may promote --model MODEL" if what.startswith(_OF_MODELS) else "--may edit --experiment EXPERIMENT"
    return (
        f"MLflow's server at {server} does not let {name!r} do this ({what}): the right is missing. An administrator "
        f"grants it: `foldcam users allow {name} {mend}`; `foldcam users ls` shows who may what."
    )


def _of_prefect(code: int, server: str) -> str:
    signed = os.environ.get("PREFECT_API_AUTH_STRING") or os.environ.get("PREFECT_API_KEY")
    how = f"Store it once with `foldcam login {server}`, or set PREFECT_API_AUTH_STRING to USER:PASSWORD."
    if code == FORBIDDEN:
        return f"Prefect's server at {server} refuses this sign-in. {how}"
    if signed:
        return f"Prefect's server at {server} does not take this user and password. {how}"
    return f"Prefect's server at {server} wants a sign-in. {how}"


def _names_of_sign_in(variable: str) -> tuple[str, ...]:
    if variable == "PREFECT_API_URL":
        return ("PREFECT_API_AUTH_STRING",)
    return ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")

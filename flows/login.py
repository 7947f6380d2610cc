"""Keeps the sign-in of the team's servers in the system's keyring, after it was tried."""

from __future__ import annotations

import ipaddress
import os
import sys
from urllib.parse import urlsplit

import typer

from flows.credentials import SignIn, address, check_keyring, forget, store
from flows.passwords import asked_password
from tasks.config import InputError


def log_in(url: str | None, user: str | None, *, from_stdin: bool) -> str:
    """Try a sign-in and keep it; give what to tell the user.

    Raises
    ------
    InputError
        There is no address, the server refuses or does not answer, or there is no safe keyring.
    """
    server = _server(url)
    check_keyring()
    if not user and not sys.stdin.isatty():
        raise InputError("The user cannot be asked for, since there is no terminal. Give it by --user NAME.")
    name = user or str(typer.prompt(f"User of {server}", err=True))
    if ":" in name or not name.strip():
        raise InputError(f"{name!r} is no user's name: it is empty or has a colon.")
    sign_in = SignIn(name, asked_password("Password", from_stdin=from_stdin))
    kind = _tried(server, sign_in)
    where = store(server, sign_in)
    told = f"Signed in to {kind} at {server} as {name}; kept in the keyring ({where})."
    if _travels_readable(server):
        told += " The address begins with http://, so whoever shares the network can read the password: use https://."
    return told


def log_out(url: str | None) -> str:
    """Remove a server's sign-in from the keyring; give what to tell the user.

    Raises
    ------
    InputError
        There is no address or no keyring.
    """
    server = _server(url)
    return f"Forgot the sign-in of {server}." if forget(server) else f"The keyring has no sign-in of {server}."


def _server(url: str | None) -> str:
    given = url or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not given:
        raise InputError("Which server? Give its address, or set MLFLOW_TRACKING_URI.")
    return address(given)


def _tried(server: str, sign_in: SignIn) -> str:
    """Give whose server it is, after it has taken the sign-in."""
    if urlsplit(server).path.endswith("/api"):
        os.environ |= {"PREFECT_API_URL": server, "PREFECT_API_AUTH_STRING": f"{sign_in.user}:{sign_in.password}"}
        from flows.prefect_sign_in import try_sign_in

        try_sign_in(server)
        return "Prefect's server"
    from tasks.tracking.permissions import who_am_i

    os.environ |= {
        "MLFLOW_TRACKING_URI": server,
        "MLFLOW_TRACKING_USERNAME": sign_in.user,
        "MLFLOW_TRACKING_PASSWORD": sign_in.password,
    }
    who_am_i(server)
    return "MLflow's server"


def _travels_readable(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return server.startswith("http://") and not local

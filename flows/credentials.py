"""User and password of the team's servers: from the environment, or else from the system's keyring.

This is the one place that reads the keyring. It runs before MLflow or Prefect is imported, and hands what it finds on
by the environment alone, which child processes inherit: no command line, file or record holds a password.
"""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tasks.config import InputError
from tasks.tracking.refusals import checked_address

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "foldcam"
"""What the entries are filed under in the keyring; one for each server's address."""

SAFE = 1
"""The priority from which on the keyring package itself recommends a backend; those that encrypt nothing have less."""

_OF_MLFLOW = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_AUTH")
_OF_PREFECT = ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY")


@dataclass(frozen=True)
class SignIn:
    """A user of a server, and the password."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"SignIn(user={self.user!r})"


def fill(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables of the sign-in, as far as they are unset and the keyring knows the servers' addresses.

    Raises
    ------
    InputError
        A server's address holds a user or a password.
    """
    mlflow = checked_address(environment.get("MLFLOW_TRACKING_URI", ""))
    prefect = checked_address(environment.get("PREFECT_API_URL", ""), "PREFECT_API_URL")
    if mlflow.startswith("http") and not any(environment.get(name) for name in _OF_MLFLOW):
        found = stored(mlflow)
        wanted = environment.get("MLFLOW_TRACKING_USERNAME")
        if found is not None and wanted in (None, "", found.user):
            environment["MLFLOW_TRACKING_USERNAME"] = found.user
            environment["MLFLOW_TRACKING_PASSWORD"] = found.password
    if prefect.startswith("http") and not any(environment.get(name) for name in _OF_PREFECT):
        found = stored(prefect)
        if found is not None:
            environment["PREFECT_API_AUTH_STRING"] = f"{found.user}:{found.password}"


def stored(url: str) -> SignIn | None:
    """Give what the keyring has for a server; None where it has nothing, is locked, or there is no keyring."""
    try:
        text = _backend().get_password(SERVICE, address(url))
        fields = json.loads(text) if text else None
        return None if fields is None else SignIn(str(fields["user"]), str(fields["password"]))
    except Exception:  # what a backend raises depends on the system
        return None


def store(url: str, sign_in: SignIn) -> str:
    """Put the sign-in of a server into the keyring, in place of an older one; give the keyring's name.

    Raises
    ------
    InputError
        There is no keyring that keeps it safely, or it is locked.
    """
    backend = _safe_backend()
    try:
        backend.set_password(SERVICE, address(url), json.dumps({"user": sign_in.user, "password": sign_in.password}))
    except Exception as fault:  # what a backend raises depends on the system
        raise InputError(
            f"The keyring ({_name(backend)}) did not take the sign-in: {type(fault).__name__}. Unlock it and try "
            f"again, or {_INSTEAD}"
        ) from None
    return _name(backend)


def forget(url: str) -> bool:
    """Remove the sign-in of a server from the keyring; give whether there was one.

    Raises
    ------
    InputError
        There is no keyring, or it is locked.
    """
    from keyring.errors import PasswordDeleteError

    backend = _safe_backend()
    try:
        if backend.get_password(SERVICE, address(url)) is None:
            return False
        backend.delete_password(SERVICE, address(url))
    except PasswordDeleteError:
        return False
    except Exception as fault:  # what a backend raises depends on the system
        raise InputError(
            f"The keyring ({_name(backend)}) could not be changed: {type(fault).__name__}. Unlock it and try again."
        ) from None
    return True


def address(url: str) -> str:
    """Give a server's address in the one way in which it is filed: lower case, no slash at the end.

    Raises
    ------
    InputError
        It is no address of a server, or holds a user or a password.
    """
    checked_address(url, "The address")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is no server's address. Give one such as https://foldcam.example.org/mlflow.")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


_INSTEAD = (
    "set the variables for each command instead, from a file that only you can read: MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD for MLflow, PREFECT_API_AUTH_STRING (USER:PASSWORD) for Prefect."
)


def _backend() -> KeyringBackend:
    import keyring

    return keyring.get_keyring()


def check_keyring() -> None:
    """Refuse to go on where nothing can be stored safely.

    Raises
    ------
    InputError
        There is no keyring that keeps a password encrypted.
    """
    _safe_backend()


def _safe_backend() -> KeyringBackend:
    try:
        backend = _backend()
    except Exception as fault:  # a backend that is set by name may be missing
        raise InputError(
            f"The keyring that is set (PYTHON_KEYRING_BACKEND, or keyringrc.cfg) cannot be used: {fault}. Correct it, "
            f"or {_INSTEAD}"
        ) from fault
    if backend.priority < SAFE:
        raise InputError(
            "There is no keyring on this machine that keeps a password encrypted (the Secret Service of a Linux "
            "desktop, KWallet, the macOS keychain, the Windows vault), so nothing was stored. Start one, or "
            f"{_INSTEAD}"
        )
    return backend


def _name(backend: KeyringBackend) -> str:
    return str(backend.name)

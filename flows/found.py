"""Finds a Prefect server on this machine that already serves this user's own database."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import prefect
import psutil
from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_HOME,
    PREFECT_SERVER_API_PORT,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)

from flows.notes import Note, held, note_for, notes_in

START_SECONDS = 180
"""How long a new Prefect server may take to answer; a new database on a busy machine took over 30 s."""

SETTLED_SECONDS = 3
"""How long a server that has been up may take to answer."""

DATABASE_SETTINGS = ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_", "PREFECT_PROFILE")
"""Beginnings of the names of the variables that decide which database a server uses."""

_LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Servers of our own are on this machine: no proxy stands between."""


@contextmanager
def found_server() -> Iterator[str | None]:
    """Give the API's address of a running server of this user's database on this machine, or None.

    It is one that foldcam has started, here or in another process, which is then not ended while the block lasts; or
    else one that the user has started by `prefect server start` on its usual port.
    """
    for file in notes_in(_home()):
        with held(file) as note:
            if note is not None and _is_usable(note):
                yield note.url
                return
    port = int(PREFECT_SERVER_API_PORT.value())
    url = f"http://127.0.0.1:{port}/api"
    yield url if answers(f"{url}/health") and _is_the_users_own(port) and _serves_this_home(url) else None


def note_of(port: int) -> Path:
    """Give the place of the note of a server on a port."""
    return note_for(_home(), port)


def leave_note(file: Path, port: int, pid: int) -> None:
    """Write the note of a server that has been started on a port and is kept by the process `pid`."""
    started = psutil.Process(pid).create_time()
    Note(f"http://127.0.0.1:{port}/api", pid, started, prefect.__version__, _database()).write(file)


def answers(url: str) -> bool:
    """Tell whether a server on this machine answers at an address."""
    try:
        _LOOPBACK.open(url, timeout=2).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def _is_usable(note: Note) -> bool:
    """Tell whether a server fits this process and answers; one that is still starting is waited for."""
    if (note.version, note.database) != (prefect.__version__, _database()):
        return False
    patience = min(max(SETTLED_SECONDS, note.started + START_SECONDS - time.time()), START_SECONDS)
    until = time.monotonic() + patience
    while note.is_alive() and time.monotonic() < until:
        if answers(f"{note.url}/health"):
            return bool(_asked(note.url, "/admin/version") == prefect.__version__)
        time.sleep(0.2)
    return False


def _asked(url: str, path: Literal["/admin/settings", "/admin/version"]) -> Any:
    """Give what a server says of itself, or None if what answers there is no server of Prefect's."""
    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as api:
        try:
            return api.request("GET", path).json()
        except (HTTPError, ValueError):
            return None


def _is_the_users_own(port: int) -> bool:
    """Tell whether what listens on a port is a Prefect server by this user's hand, with the database set here."""
    try:
        server = _listener(port)
        ours = server.uids().real == os.getuid() and any("prefect" in part for part in server.cmdline())
        parent = server.parent()
        kept = parent is not None and "flows.kept" in parent.cmdline()
        return ours and not kept and _database_settings(server.environ()) == _database_settings(os.environ)
    except (psutil.Error, LookupError):
        return False


def _listener(port: int) -> psutil.Process:
    """Give the process that listens on a port; LookupError where there is none or it is another user's."""
    for found in psutil.net_connections("tcp"):
        if found.status == psutil.CONN_LISTEN and getattr(found.laddr, "port", None) == port and found.pid:
            return psutil.Process(found.pid)
    raise LookupError(port)


def _database_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(DATABASE_SETTINGS)}


def _serves_this_home(url: str) -> bool:
    if _asked(url, "/admin/version") != prefect.__version__:
        return False
    settings = _asked(url, "/admin/settings")
    return isinstance(settings, dict) and settings.get("home") == str(_home())


def _home() -> Path:
    return Path(PREFECT_HOME.value())


def _database() -> str:
    address = PREFECT_SERVER_DATABASE_CONNECTION_URL.value()
    text = address.get_secret_value() if hasattr(address, "get_secret_value") else str(address)
    return hashlib.sha256(text.encode()).hexdigest()

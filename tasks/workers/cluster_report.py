"""What a node of a cluster says of itself before any work is given to it: what it has, and what is wrong with it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tasks.dataset.store import cache_home
from tasks.dataset.wording import listed
from tasks.workers.plan import versions

CONNECT_SECONDS = 10.0

_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class Needs:
    """What every node must have.

    Attributes
    ----------
    versions : dict of str to str
        Packages that decide a result.
    data_root : str
        A folder; empty: none.
    servers : dict of str to str
        Addresses that it must reach, by what people call them.
    """

    versions: Mapping[str, str]
    data_root: str
    servers: Mapping[str, str]


@dataclass(frozen=True)
class NodeReport:
    """A node, and what is wrong with it, in words; each of them goes on from the node's name."""

    host: str
    faults: tuple[str, ...]


def report(needs: Needs) -> NodeReport:
    """Look at this node."""
    faults = [differences(needs.versions)]
    if needs.data_root and not Path(needs.data_root).is_dir():
        faults.append(
            f"has no folder {needs.data_root}, where the images are: put them where every node sees them at the same "
            "path, or give data.path an address (s3://, https://) that each node can read"
        )
    faults += [_reached(what, address) for what, address in needs.servers.items()]
    faults.append(_room())
    return NodeReport(socket.gethostname(), tuple(fault for fault in faults if fault))


def differences(wanted: Mapping[str, str]) -> str:
    """Tell which packages are other ones here than where the experiment was started; empty where none is."""
    here = versions()
    other = [
        f"{name} {here.get(name) or 'not at all'} instead of {version or 'none'}"
        for name, version in wanted.items()
        if here.get(name, "") != version
    ]
    if not other:
        return ""
    return (
        f"has {listed(other, 10)}: its fold runs would not be the same ones. Install the same packages on every node "
        "(requirements.lock names them)"
    )


def _reached(what: str, address: str) -> str:
    parts = urlsplit(address)
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite":
        file = Path(address.partition(":///")[2])
        return "" if file.is_file() else f"does not see {what}, the file {file}: let a server keep it, at an address"
    port = parts.port or _PORTS.get(scheme)
    if parts.hostname is None or port is None:
        return ""
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as fault:
        shown = f"{parts.scheme}://{parts.hostname}:{port}"
        return f"does not reach {what} at {shown} ({fault.strerror or fault}): give it an address that all nodes reach"
    return ""


def _room() -> str:
    home = cache_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        return f"cannot make foldcam's folder {home} ({fault.strerror}): set FOLDCAM_HOME there"
    writable = os.access(home, os.W_OK)
    return "" if writable else f"cannot write to foldcam's folder {home}: set FOLDCAM_HOME there"

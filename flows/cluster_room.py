"""A cluster's address and its room for fold runs, as the experiment file says them."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from tasks.config import InputError, Runner
from tasks.workers.cluster_report import CONNECT_SECONDS

WRITTEN = {"ray": "HOST:6379, or ray://HOST:10001 from a machine that is no node", "dask": "tcp://HOST:8786"}
"""How an address is written, with the port that each engine listens at unless told otherwise."""


def check_address(kind: str, address: str) -> None:
    """Refuse an address that nothing listens at; engines themselves wait for minutes.

    Raises
    ------
    InputError
        With the address.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise InputError(f"runner.address: {address!r} is no address. It is written as {WRITTEN[kind]}.")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as fault:
        start = {"ray": "ray start --head", "dask": "dask scheduler"}[kind]
        raise InputError(
            f"runner.address: no {kind.capitalize()} cluster answers at {host}:{port} "
            f"({fault.strerror or fault}). Start it there with `{start}`, correct the address, or leave it out: a "
            "cluster on this machine is used then."
        ) from fault


def cores_of(runner: Runner) -> float:
    """Give the cores that a fold run has set aside for it."""
    return runner.cpus_per_fold if runner.cpus_per_fold is not None else float(runner.threads_per_worker)


def usable(runner: Runner, slots: int) -> int:
    """Give how many fold runs are done at a time, by the cluster's room and by the setting."""
    return slots if runner.workers == "auto" else min(slots, runner.workers)

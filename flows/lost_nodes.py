"""Connections to nodes of a Ray cluster that are lost: ended here, where nothing comes from there to end them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil

LOOK_SECONDS = 5.0
"""How often it is looked which nodes Ray has given up."""


class LostNodes:
    """Hangs up on nodes that Ray has given up.

    A host that loses its power or its cable says nothing, and a call to it goes on until the connection has been silent
    for seven minutes (Ray's `grpc_client_keepalive_time_ms` and `_timeout_ms`), long after Ray knows that the node is
    lost. Only when the call ends does Ray begin elsewhere what was done there.

    Parameters
    ----------
    nodes : callable
        Gives the nodes as `ray.nodes` does.
    """

    def __init__(self, nodes: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._nodes = nodes
        self._done: set[str] = set()
        self._next = 0.0

    def hang_up(self) -> None:
        """End this process's connections to hosts on which nodes were lost since the last time and none is left."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        nodes = self._nodes()
        there = {node["NodeManagerAddress"] for node in nodes if node["Alive"]}
        lost = {node["NodeID"]: node["NodeManagerAddress"] for node in nodes if not node["Alive"]}
        new = {address for name, address in lost.items() if name not in self._done} - there
        self._done |= set(lost)
        if new:
            end_connections(new)


def end_connections(hosts: Collection[str]) -> None:
    """End this process's TCP connections to hosts, as if they had done so themselves."""
    for connection in psutil.Process().net_connections("tcp"):
        if connection.raddr and connection.raddr.ip.removeprefix("::ffff:") in hosts:
            with suppress(OSError), socket.socket(fileno=os.dup(connection.fd)) as call:  # it may have ended meanwhile
                if call.getpeername()[:2] == tuple(connection.raddr):
                    call.shutdown(socket.SHUT_RDWR)

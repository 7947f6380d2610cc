"""Nodes of a Ray cluster as processes of this machine, each with a cache of its own: started late, and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.runners import free_port
from tests.support.hosts import Host
from tests.support.processes import until

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_raylet_start_wait_time_s": "300"}
"""Without a token, which Ray would write into the user's home; with patience, since machines are shared."""


PORTS = ("--min-worker-port=0", "--max-worker-port=0")
"""Any that are free: the usual ones may be another cluster's."""


@dataclass
class RayNodes:
    """A head without room for fold runs, and nodes that join it."""

    folder: Path
    port: int
    client_port: int
    variables: Mapping[str, str]
    on: Host | None = None
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    @property
    def address_outside(self) -> str:
        """The address for a machine that is no node."""
        return f"ray://{self._host}:{self.client_port}"

    @property
    def _host(self) -> str:
        return "127.0.0.1" if self.on is None else self.on.address

    def start(self, name: str, *how: str, cpus: int = 1, on: Host | None = None) -> None:
        """Start a node; it need not have joined yet when this returns."""
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        if on is not None:
            ray = [*on.on(self.folder), *ray, f"--node-ip-address={on.address}"]
        log = (self.folder / f"{name}.log").open("wb")
        self.processes[name] = subprocess.Popen(
            [*ray, *how, f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=100000000", *PORTS],
            env=os.environ | ENVIRONMENT | dict(self.variables) | {"FOLDCAM_HOME": str(self.home(name))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    def join(self, name: str, cpus: int = 1, on: Host | None = None) -> None:
        """Start a node that joins the head."""
        self.start(name, f"--address={self.address}", cpus=cpus, on=on)

    def wait_for(self, name: str) -> None:
        """Wait until a node is part of the cluster."""
        until(lambda: b"Ray runtime started" in (self.folder / f"{name}.log").read_bytes(), 120, f"Ray's node {name}")

    def home(self, name: str) -> Path:
        """Give a node's own cache."""
        return self.folder / f"home-{name}"

    def kill(self, name: str) -> None:
        """Kill a node with all that runs on it, at once."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def ray_nodes(folder: Path, on: Host | None = None, **variables: str) -> Iterator[RayNodes]:
    """Run a head while the block lasts, and whatever joins it."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = RayNodes(folder, free_port(), free_port(), variables, on)
    try:
        ports = (f"--port={nodes.port}", f"--ray-client-server-port={nodes.client_port}")
        nodes.start("head", "--head", *ports, "--include-dashboard=false", cpus=0, on=on)
        nodes.wait_for("head")
        yield nodes
    finally:
        for name in list(nodes.processes):
            nodes.kill(name)

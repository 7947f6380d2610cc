"""Hosts of a network of their own on this machine: each with its own addresses, name, shared memory and /tmp/ray."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ADDRESSES = {"near": "10.213.47.1", "far": "10.213.47.2"}
DESK = "10.213.47.3"
"""This machine itself, as the near host sees it: the tests read what is there."""

_APART = ("unshare", "--net", "--uts", "--mount", "sh", "-c")
_BEGIN = (
    "hostname {name} && ip link set lo up && mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray "
    "&& mount -t tmpfs tmpfs /dev/shm && echo ready && read -r _"
)


@dataclass(frozen=True)
class Host:
    """A host, which is there for as long as the process that holds it."""

    name: str
    holder: int

    @property
    def address(self) -> str:
        return ADDRESSES[self.name]

    def on(self, folder: Path | str = "/") -> list[str]:
        """Give what stands before a command so that it runs on this host, in a folder."""
        return ["nsenter", f"--target={self.holder}", "--net", "--uts", "--mount", "env", f"--chdir={folder}"]

    def run(self, *command: str) -> str:
        """Run a command to its end and give what it prints."""
        done = subprocess.run([*self.on(), *command], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def link(self, state: str) -> None:
        """Let the host's cable be `up` or `down`."""
        self.run("ip", "link", "set", "cable", state)


def refusal() -> str:
    """Give why no hosts can be made here, in the words of the machine; empty where they can."""
    try_it = "ip link add one type veth peer name other && hostname other"
    tried = subprocess.run(
        [*_APART, try_it],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return "" if tried.returncode == 0 else tried.stderr.strip() or "it may not be done here"


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Give two hosts that are joined by a cable while the block lasts; nothing of them is left behind it."""
    with _host("near") as near, _host("far") as far:
        near.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(far.holder))
        for host in (near, far):
            host.run("ip", "address", "add", f"{host.address}/24", "dev", "cable")
            host.link("up")
        _from_the_desk_to(near)
        yield near, far


def _from_the_desk_to(near: Host) -> None:
    name = f"desk{os.getpid()}"
    near.run("ip", "link", "add", "desk", "type", "veth", "peer", "name", name)
    near.run("ip", "link", "set", name, "netns", str(os.getpid()))
    near.run("ip", "link", "set", "desk", "up")
    near.run("ip", "route", "add", DESK, "dev", "desk")
    for what in (f"address add {DESK}/32 dev {name}", f"link set {name} up", f"route add {near.address} dev {name}"):
        subprocess.run(["ip", *what.split()], capture_output=True, timeout=60, check=True)


@contextmanager
def _host(name: str) -> Iterator[Host]:
    process = subprocess.Popen(
        [*_APART, _BEGIN.format(name=name)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:  # leaving it closes the input that the holder waits for, also where this process is killed
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Host(name, process.pid)

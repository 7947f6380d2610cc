"""Runs a compose file's services on this machine, without Docker: their commands, environment and checks on loopback.

Names of services become 127.0.0.1, ports free ones, volumes and container paths folders below one of our own. What the
images bring from elsewhere is this machine's own: PostgreSQL, Caddy and rclone of its packages, the packages of the
environment that the tests run in, and stand-ins (`standins`) for two programs that no package has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import psutil
import pytest

from flows.runners import end_process, free_port
from tests.support.composed import Service, read_compose
from tests.support.processes import PATIENCE

STANDINS = Path(__file__).parent / "standins"
NEEDED = "FOLDCAM_TESTS_NEED_SERVERS"
"""The variable that makes a missing program a failure; `.ci/run` sets it."""

WAIT_SECONDS = 60


def needed_programs() -> str:
    """Give a PATH with PostgreSQL, Caddy and rclone; without them a test is skipped, or fails where they are needed."""
    own = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)[:1]
    path = os.pathsep.join([str(Path(sys.executable).parent), *map(str, own), os.environ.get("PATH", "")])
    missing = [name for name in ("initdb", "pg_ctl", "pg_dump", "caddy", "rclone") if not shutil.which(name, path=path)]
    if not missing:
        return path
    reason = f"Not on the path: {', '.join(missing)}; apt-get install postgresql caddy rclone brings them."
    if os.environ.get(NEEDED):
        pytest.fail(reason)
    pytest.skip(reason)


class Stack:
    """The services of a compose file in `folder`, which has to be readable by other users of the machine."""

    def __init__(self, file: Path, folder: Path, variables: Mapping[str, str]) -> None:
        self._path = needed_programs()
        self.folder = folder
        self.services = read_compose(file, variables)
        self.ports = {port: free_port() for service in self.services.values() for port in service.ports}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._done: set[str] = set()

    def up(self, *names: str) -> None:
        """Start services and what they depend on, each when that is healthy; give when all are."""
        self._begin_all(names)
        self._wait_healthy(self._running)

    def down(self, *names: str) -> None:
        """Stop services; all of them if none is named."""
        for name in names or [*reversed(self._running)]:
            process = self._running.pop(name)
            below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            end_process(process)
            for left in below:
                with suppress(psutil.Error):
                    left.kill()
        if not names:
            self._done.clear()

    def run(self, name: str, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Do what `docker compose run --rm NAME COMMAND` does, on running services."""
        service = self.services[name]
        entrypoint = service.command[: len(service.command) - len(service.arguments)]
        return self.execute(name, *entrypoint, *command, **environment)

    def execute(self, name: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program as a service's container would, without its entrypoint."""
        service = self.services[name]
        return subprocess.run(
            self._native(service, list(words)),
            env=self.environment(service) | environment,
            cwd=self._own(service, "tmp"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE * WAIT_SECONDS,
            check=False,
        )

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Give the processes of each running service."""
        every = {name: psutil.Process(process.pid) for name, process in self._running.items()}
        return {name: [process, *process.children(recursive=True)] for name, process in every.items()}

    def log(self, name: str) -> str:
        """Give what a service has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def volume(self, name: str) -> Path:
        """Give the folder of a volume."""
        return self.folder / "volumes" / name

    def environment(self, service: Service) -> dict[str, str]:
        """Give the image's variables and the file's, for this machine."""
        own = service.image.environment | service.environment
        translated = {key: self._translated(service, value, key) for key, value in own.items()}
        path = os.pathsep.join([str(self._bin(service)), self._path])
        extra = {"PATH": path, "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1,localhost"}
        if service.name == "database":
            extra |= {"PGPORT": str(self.ports[5432]), "PGSOCKETS": str(self._own(service, "tmp"))}
            extra |= {"PGDATA": self._translated(service, "/var/lib/postgresql/data")}
            extra |= {"INITDB_SCRIPTS": str(self._own(service, "docker-entrypoint-initdb.d"))}
        return translated | extra

    def _begin_all(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._running and name not in self._done:
                below = list(self.services[name].settings.get("depends_on", {}))
                self._begin_all(below)
                self._wait_healthy(below)
                self._begin(self.services[name])

    def _begin(self, service: Service) -> None:
        with (self.folder / f"{service.name}.log").open("ab") as log:
            process = subprocess.Popen(
                self._native(service, service.command),
                env=self.environment(service),
                cwd=self._own(service, "tmp"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if service.settings["restart"] == "on-failure":
            assert process.wait(PATIENCE * WAIT_SECONDS) == 0, self.log(service.name)[-3000:]
            self._done.add(service.name)
        else:
            self._running[service.name] = process

    def _wait_healthy(self, names: Iterable[str]) -> None:
        end = time.monotonic() + PATIENCE * WAIT_SECONDS
        for name in [name for name in names if name in self._running]:
            while self.check(name):
                assert self._running[name].poll() is None, f"{name} ended: {self.log(name)[-3000:]}"
                assert time.monotonic() < end, f"{name} is not healthy: {self.log(name)[-3000:]}"
                time.sleep(0.5)

    def check(self, name: str) -> int:
        """Give the exit code of a service's health check."""
        service = self.services[name]
        words = [self._translated(service, word) for word in service.settings["healthcheck"]["test"][1:]]
        return subprocess.run(words, env=self.environment(service), capture_output=True, check=False).returncode

    def _native(self, service: Service, words: list[str]) -> list[str]:
        translated = [self._translated(service, word) for word in words]
        if service.image.last("USER") == "postgres" and os.geteuid() == 0:
            self._give(service, "postgres")
            return ["runuser", "-u", "postgres", "--", *translated]
        return translated

    def _give(self, service: Service, user: str) -> None:
        for folder in (self._own(service, "tmp"), *map(Path, self._folders(service).values())):
            shutil.chown(folder, user)

    def _translated(self, service: Service, text: str, key: str = "") -> str:
        """Give a text of the file with this machine's paths, names and ports."""
        places = {to: str(self._placed(service, to)) for to in service.image.copies} | self._folders(service)
        places |= {"/tmp": str(self._own(service, "tmp"))}
        every = "|".join(re.escape(place) for place in sorted(places, key=len, reverse=True))
        text = re.sub(rf"(?<![\w/.-])({every})(?![\w-])", lambda found: places[found[1]], text)
        names = "|".join(map(re.escape, self.services))
        text = re.sub(rf"(?<![\w./-])(//|@)?({names})(?=:\d)", lambda found: f"{found[1] or ''}127.0.0.1", text)
        if key.endswith("HOST") and text in self.services:
            text = "127.0.0.1"
        text = text.replace("0.0.0.0", "127.0.0.1")
        return self._ports.sub(lambda found: str(self.ports[int(found[0])]), text)

    @cached_property
    def _ports(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![0-9A-Za-z])({'|'.join(map(str, self.ports))})(?![0-9A-Za-z])")

    def _folders(self, service: Service) -> dict[str, str]:
        """Give the folders that volumes become, by path in the container."""
        found = {}
        for inside, volume in service.volumes.items():
            own = Path(volume) if volume.startswith("/") else self.volume(volume.lstrip("./"))
            own.mkdir(parents=True, exist_ok=True)
            found[inside] = str(own)
        return found

    def _placed(self, service: Service, to: str) -> Path:
        """Give the copy of a file that an image has at the path `to`."""
        source = service.image.copies[to]
        own = self._bin(service) / Path(to).name if to.startswith("/usr/local/bin/") else self._own(service, to[1:])
        if source.is_file() and not own.exists():
            own = own / source.name if own.is_dir() else own
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, own)
            own.chmod(0o755)
        return own

    def _bin(self, service: Service) -> Path:
        """Give the folder of the image's own programs, and of the stand-ins."""
        folder = self.folder / service.name / "bin"
        if not folder.exists():
            folder.mkdir(parents=True)
            shutil.copy(STANDINS / "docker-entrypoint.sh", folder)
            weed = folder / "weed"
            weed.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{STANDINS / "weed.py"}" "$@"\n')
            for program in folder.iterdir():
                program.chmod(0o755)
            for to in service.image.copies:
                self._placed(service, to)
        return folder

    def _own(self, service: Service, path: str) -> Path:
        own = self.folder / service.name / path
        if path == "tmp":
            own.mkdir(parents=True, exist_ok=True)
        return own

"""A real PostgreSQL server of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.runners import free_port

PROGRAMS = Path("/usr/lib/postgresql/15/bin")


@dataclass(frozen=True)
class Postgres:
    """A running server with an empty database at `url`."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def control(self, *words: str) -> None:
        """Call `pg_ctl`."""
        _as_postgres("pg_ctl", "-D", str(self.folder / "data"), "-w", *words)

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        self.control("-l", str(self.folder / "log"), "-o", options, "start")

    def restart(self, seconds: float) -> None:
        """Cut all connections, stay away for some seconds, and come back."""
        self.control("-m", "immediate", "stop")
        time.sleep(seconds)
        self.start()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server while the block lasts, in a folder of its own: pytest closes its folders to other users."""
    with tempfile.TemporaryDirectory(prefix="foldcam-postgres-") as place:
        if os.geteuid() == 0:
            shutil.chown(place, "postgres", "postgres")
        folder = Path(place)
        _as_postgres("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "--no-sync")
        own = Postgres(folder, free_port())
        own.start()
        try:
            yield own
        finally:
            own.control("-m", "immediate", "stop")


def _as_postgres(program: str, *words: str) -> None:
    command = [str(PROGRAMS / program), *words]
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        command = ["runuser", "-u", "postgres", "--", *command]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

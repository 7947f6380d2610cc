"""What the rows share: scratch folders, processes of their own for each measurement, the command `foldcam`."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "flows.cli"]
LONGEST = 1500
"""Seconds that a single measurement may take."""


class Failed(RuntimeError):
    """A process of a measurement failed."""


@dataclass(frozen=True)
class Measured:
    """What a process gave, and the time that its work took it once everything was imported."""

    result: Any
    cpu: float
    wall: float


@dataclass(frozen=True)
class Finished:
    """A command that has ended: seconds from its start to its end, and of the CPU with all its children."""

    out: str
    cpu: float
    wall: float

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


@dataclass
class Place:
    """A working folder with a cache and a store of its own, to run `foldcam` in."""

    folder: Path
    variables: Mapping[str, str]

    @property
    def tracking_uri(self) -> str:
        return self.variables["MLFLOW_TRACKING_URI"]

    def write(self, settings: Mapping[str, Any]) -> Path:
        file = self.folder / "experiment.yaml"
        file.write_text(yaml.safe_dump(dict(settings), sort_keys=False), encoding="utf-8")
        return file

    def foldcam(self, *arguments: str) -> Finished:
        return run([*COMMAND, *arguments], self.variables, self.folder)


@dataclass
class Bench:
    """What a row's function is given.

    Attributes
    ----------
    repeats : int
        How often each side is measured.
    quick : bool
        Tiny settings, to see that everything runs; the figures mean nothing.
    core : int or None
        The core that single-threaded measurements are bound to.
    """

    repeats: int
    quick: bool
    shared: Path
    core: int | None = None
    _count: int = field(default=0, init=False)

    def sized(self, real: Any, quick: Any) -> Any:
        """Give the setting for this kind of run."""
        return quick if self.quick else real

    def folder(self) -> Path:
        """Give a new empty folder; all are removed in the end."""
        return Path(tempfile.mkdtemp(dir=self.shared, prefix="row-"))

    def place(self) -> Place:
        """Give a new place with an empty MLflow store and an empty cache; Prefect's database is shared and made."""
        folder = self.folder()
        shutil.copy(made_once(self.shared, "mlflow.db", _make_store), folder / "mlflow.db")
        prefect = made_once(self.shared, "prefect", _make_prefect)
        variables = {
            "FOLDCAM_HOME": str(folder / "cache"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "PREFECT_HOME": str(prefect),
        }
        return Place(folder, variables)

    def single(self, target: str, /, **arguments: Any) -> Measured:
        """Call `module:function` in a new process with one thread."""
        threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
        return in_process(target, arguments, self.folder(), threads, self.core)

    def whole(self, target: str, /, **arguments: Any) -> Measured:
        """Call `module:function` in a new process that may use the whole machine."""
        return in_process(target, arguments, self.folder(), {}, None)

    def interleaved(self, *sides: Callable[[], Any]) -> list[list[Any]]:
        """Measure the sides in turn, A B A B …, and give each side's outcomes."""
        outcomes: list[list[Any]] = [[] for _ in sides]
        for _ in range(self.repeats):
            for side, found in zip(sides, outcomes, strict=True):
                found.append(side())
        return outcomes


def in_process(
    target: str, arguments: Mapping[str, Any], folder: Path, variables: Mapping[str, str], core: int | None
) -> Measured:
    """Call `module:function` in a process of its own and give what it returned."""
    order, answer = folder / "order.pickle", folder / "answer.pickle"
    order.write_bytes(pickle.dumps((target, dict(arguments), core)))
    run([sys.executable, "-P", "-m", "tests.benchmarks.side", str(order), str(answer)], variables, folder)
    return Measured(**pickle.loads(answer.read_bytes()))  # written by the line before


def run(command: list[str], variables: Mapping[str, str], folder: Path) -> Finished:
    """Run a command to its end.

    Raises
    ------
    Failed
        It ended with another code than 0, or took too long.
    """
    environment = (
        os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "TF_CPP_MIN_LOG_LEVEL": "3"} | dict(variables)
    )
    started = time.perf_counter()
    with (folder / "out.txt").open("w+b") as out, (folder / "err.txt").open("w+b") as err:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        timer = threading.Timer(LONGEST, end_tree, [process.pid])
        timer.daemon = True
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            end_tree(process.pid)
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [stream.seek(0) or stream.read().decode(errors="replace") for stream in (out, err)]
    if process.returncode != 0:
        raise Failed(f"`{' '.join(command[3:5])}` ended with {process.returncode}: {texts[1][-2000:]}")
    return Finished(texts[0], usage.ru_utime + usage.ru_stime, wall)


def end_tree(pid: int) -> None:
    """End a process that was started here, and its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


_making = threading.Lock()


def made_once(shared: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Give what `make` makes under this name, made when it is first asked for."""
    with _making:
        if not (shared / name).exists():
            make(shared / name)
    return shared / name


def _make_store(file: Path) -> None:
    code = f"from tasks.tracking.store import open_client; open_client('sqlite:///{file}')"
    run([sys.executable, "-P", "-c", code], {}, file.parent)


def _make_prefect(folder: Path) -> None:
    folder.mkdir()
    code = "from flows.runners import prefect_server\nwith prefect_server(): pass"
    run([sys.executable, "-P", "-c", code], {"PREFECT_HOME": str(folder)}, folder)


@contextlib.contextmanager
def clean_environment() -> Iterator[None]:
    """Nothing of the user's is read or written while the suite runs."""
    before = dict(os.environ)
    for name in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE"):
        os.environ.pop(name, None)
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    os.environ.update(quiet, CUDA_VISIBLE_DEVICES="-1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

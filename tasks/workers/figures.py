"""Figures of running experiments for Prometheus: asked for over HTTP, or left in a file that node_exporter reads."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server, write_to_textfile

from tasks.config import InputError
from tasks.workers.events import Event, FoldEvent, PlanEvent, StepEvent, subscribe

PORT, HOST, FILE = "FOLDCAM_METRICS_PORT", "FOLDCAM_METRICS_HOST", "FOLDCAM_METRICS_FILE"

LOOPBACK = "127.0.0.1"

FILE_SECONDS = 5.0
"""How often the file is written while something happens."""

STATES = ("queued", "running", "completed", "failed", "reused")
"""What the states of fold runs are counted as."""

_COUNTED_AS = {"waiting": "queued", "retrying": "queued"} | {end: end for end in ("completed", "failed", "reused")}
_EPOCH = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600)
_RUN = (3, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)

_log = logging.getLogger(__name__)


class Figures:
    """Listens to an experiment's events and keeps its figures.

    Parameters
    ----------
    experiment : str
        Its name, the label of all figures.
    """

    def __init__(self, experiment: str) -> None:
        self.registry = CollectorRegistry()
        self._experiment = experiment
        self._states: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()
        one, by_backbone = ("experiment",), ("experiment", "backbone")
        kinds = (*by_backbone, "kind")
        self._fold_runs = self._gauge("fold_runs", "Fold runs by state.", (*by_backbone, "state"))
        self._queue = self._gauge("queue_length", "Fold runs that wait for a worker.", one)
        self._workers = self._gauge("workers", "Fold runs that are done at a time.", one)
        self._speed = self._gauge("images_per_second", "Training images a second in the last epoch.", by_backbone)
        self._memory = self._gauge("memory_bytes", "Resident memory, of foldcam and of its workers.", (*one, "process"))
        self._step = self._gauge("step_done_ratio", "How much of the present step is done.", (*one, "step"))
        self._started = self._gauge("started_timestamp_seconds", "When the experiment was started.", one)
        self._heard = self._gauge("last_event_timestamp_seconds", "When something last happened.", one)
        self._ended = self._gauge("ended_timestamp_seconds", "When the experiment ended; 0 while it runs.", one)
        self._status = self._gauge("experiment_status", "1 for what the experiment ended as.", (*one, "status"))
        self._epochs = self._histogram("epoch_seconds", "Seconds of an epoch.", by_backbone, _EPOCH)
        self._runs = self._histogram("fold_run_seconds", "Seconds of a completed fold run.", by_backbone, _RUN)
        self._retries = self._counter("retries", "Fold runs that failed and are tried again, by kind.", kinds)
        self._failures = self._counter("failures", "Fold runs that failed for good, by kind.", kinds)
        self._started.labels(experiment).set_to_current_time()
        self._heard.labels(experiment).set_to_current_time()
        self._ended.labels(experiment).set(0)
        self._memory.labels(experiment, "foldcam").set_function(_own_memory)
        self._memory.labels(experiment, "workers").set_function(_memory_below)

    def __call__(self, event: Event) -> None:
        """Take in an event, from any thread."""
        self._heard.labels(self._experiment).set_to_current_time()
        if isinstance(event, PlanEvent):
            self._plan(event)
        elif isinstance(event, FoldEvent):
            self._fold(event)
        elif isinstance(event, StepEvent):
            self._step.clear()
            share = event.done / event.total if event.done is not None and event.total else 0.0
            self._step.labels(self._experiment, event.step).set(share)

    def end(self, status: str) -> None:
        """Say what the experiment ended as; nothing is queued or running any more."""
        self._ended.labels(self._experiment).set_to_current_time()
        self._status.labels(self._experiment, status).set(1)
        self._step.clear()
        with self._lock:
            self._states = {cell: state for cell, state in self._states.items() if state not in ("queued", "running")}
            self._count()

    def _plan(self, plan: PlanEvent) -> None:
        self._workers.labels(self._experiment).set(plan.workers)
        with self._lock:
            for backbone in plan.backbones:
                for fold in plan.folds:
                    self._states.setdefault((backbone, fold), "queued")
            self._count()

    def _fold(self, event: FoldEvent) -> None:
        labels = self._experiment, event.backbone
        with self._lock:
            self._states[event.backbone, event.fold] = _COUNTED_AS.get(event.state, "running")
            self._count()
        if event.epoch is not None and event.seconds is not None:
            self._epochs.labels(*labels).observe(event.seconds)
            if event.images and event.seconds > 0:
                self._speed.labels(*labels).set(event.images / event.seconds)
        if event.state == "completed" and event.seconds is not None:
            self._runs.labels(*labels).observe(event.seconds)
        if event.state in ("retrying", "failed"):
            counter = self._retries if event.state == "retrying" else self._failures
            counter.labels(*labels, event.kind or "other").inc()

    def _count(self) -> None:
        found = Tally((backbone, state) for (backbone, _), state in self._states.items())
        for backbone in {backbone for backbone, _ in self._states}:
            for state in STATES:
                self._fold_runs.labels(self._experiment, backbone, state).set(found[backbone, state])
        self._queue.labels(self._experiment).set(sum(state == "queued" for state in self._states.values()))

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(f"foldcam_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"foldcam_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"foldcam_{name}", text, labels, buckets=buckets, registry=self.registry)


class _Textfile:
    """Writes figures to a file when something happens, at most every `FILE_SECONDS`; whole files only."""

    def __init__(self, figures: Figures, file: Path) -> None:
        self._figures, self._file = figures, file
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self, _: Event) -> None:
        with self._lock:
            due = time.monotonic() >= self._next
            if due:
                self._next = time.monotonic() + FILE_SECONDS
        if due:
            self.write()

    def write(self) -> None:
        try:
            write_to_textfile(str(self._file), self._figures.registry)
        except OSError as fault:
            _log.warning("The figures cannot be written to %s: %s", self._file, fault.strerror)


@contextmanager
def kept(experiment: str) -> Iterator[Figures]:
    """Keep an experiment's figures while the block lasts, and show them where the environment says.

    `FOLDCAM_METRICS_PORT` names a port on which they are served, on loopback unless `FOLDCAM_METRICS_HOST` names
    another address; a port that is taken is said in a warning and the experiment goes on. `FOLDCAM_METRICS_FILE` names
    a file ending in `.prom` for node_exporter's textfile collector; it stays after the end.

    Raises
    ------
    InputError
        A variable is set to something that cannot be used.
    """
    port, file = asked_port(), asked_file()
    figures = Figures(experiment)
    textfile = None if file is None else _Textfile(figures, file)
    server = None if port is None else _served(figures, port)
    try:
        with subscribe(figures):
            if textfile is None:
                yield figures
            else:
                with subscribe(textfile):
                    yield figures
    finally:
        if textfile is not None:
            textfile.write()
        if server is not None:
            server.shutdown()
            server.server_close()


def asked_port() -> int | None:
    """Give the port that `FOLDCAM_METRICS_PORT` names; None where it is not set.

    Raises
    ------
    InputError
        It is no number of a port.
    """
    value = os.environ.get(PORT, "")
    if not value:
        return None
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise InputError(f"{PORT}={value!r} is no port. Set it to a number from 1 to 65535, such as 9464, or unset it.")
    return int(value)


def asked_file() -> Path | None:
    """Give the file that `FOLDCAM_METRICS_FILE` names; None where it is not set.

    Raises
    ------
    InputError
        Its folder is not there, or its name does not end as node_exporter wants it.
    """
    value = os.environ.get(FILE, "")
    if not value:
        return None
    file = Path(value).expanduser()
    if file.suffix != ".prom":
        raise InputError(f"{FILE}={value}: node_exporter reads files ending in .prom only. Name one.")
    if not file.absolute().parent.is_dir():
        raise InputError(f"{FILE}={value}: the folder {file.parent} is not there. Make it, or name another file.")
    return file


def _served(figures: Figures, port: int) -> WSGIServer | None:
    host = os.environ.get(HOST) or LOOPBACK
    try:
        return start_http_server(port, host, figures.registry)[0]
    except OSError as fault:
        _log.warning("The figures are not served on %s:%s: %s. The experiment goes on.", host, port, fault.strerror)
        return None


def _own_memory() -> float:
    return float(psutil.Process().memory_info().rss)


def _memory_below() -> float:
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return float(total)

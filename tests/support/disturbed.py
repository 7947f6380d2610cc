"""An experiment that is disturbed, held against the same one undisturbed: the figures are the same to the last bit."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from tests.support.images import write_classes
from tests.support.processes import ended, until
from tests.support.readback import artifact, tree
from tests.support.studio import Studio, quick

SEED = int(os.environ.get("FOLDCAM_FAULTS_SEED", "1"))
ROUNDS = int(os.environ.get("FOLDCAM_FAULTS_ROUNDS", "5"))
"""Where the long tests' moments come from, and how often each is repeated; `make faults SEED=… ROUNDS=…` sets them."""

LONGEST = 900
"""The seconds that a call of the command may take; on a machine of one's own it takes twenty."""

NOT_RESULTS = ("seconds", "cost/", "explain/seconds")
UNFINISHED = (".tmp", ".part", ".partial")

Fault = Callable[[subprocess.Popen[str]], None]
"""What befalls the command, given as a running process of a session of its own."""

Figures = dict[str, dict[str, list[float]]]
"""Every metric's values in the order of their steps, by the run's name: `ncnn/0`, `ncnn`, the experiment's."""


@dataclass(frozen=True)
class Undisturbed:
    """An experiment that ran without a fault.

    `before` are the seconds to the start of its first fold run, `seconds` those to its end.
    """

    settings: dict[str, Any]
    figures: Figures
    predictions: dict[str, bytes]
    weights: set[str]
    before: float
    seconds: float


@dataclass(frozen=True)
class Moment:
    """When a fault strikes: `seconds` after the command began, or after its first fold run did."""

    seconds: float
    in_folds: bool = False


@dataclass(frozen=True)
class Disturbed:
    """How a disturbed command ended. `struck`: the fault came before its end."""

    code: int
    out: str
    err: str
    struck: bool
    children: list[psutil.Process]


def rounds() -> list[int]:
    """Give the seeds of the rounds of a long test, for `pytest.mark.parametrize`."""
    return [SEED * 1000 + number for number in range(ROUNDS)]


def small_settings(images: Path, **changes: Any) -> dict[str, Any]:
    """Give an experiment whose fits stop early, cut their rate, drop out and change their images."""
    training = {
        "epochs": 12,
        "batch_size": 4,
        "early_stopping_patience": 4,
        "reduce_lr_patience": 2,
        "augmentation": {"horizontal_flip": True, "rotation": 10},
    }
    return quick(images, name="disturbed", training=training) | changes


def undisturbed(studio: Studio, **changes: Any) -> Undisturbed:
    """Run the small experiment in a studio, on images that are made there, and give what came of it."""
    images = write_classes(studio.folder / "images", {"across": 12, "down": 12})
    settings = small_settings(images, **changes)
    began = time.time()
    done = studio.foldcam("run", str(studio.write(settings)), "--json", timeout=LONGEST)
    seconds = time.time() - began
    assert done.returncode == 0, done.stderr
    before = min(run.info.start_time for run in studio.runs("fold")) / 1000 - began
    return Undisturbed(settings, figures(studio), predictions(studio), weights(studio), before, seconds)


def random_moment(seed: int, of: Undisturbed) -> Moment:
    """Give a moment between start and end; every second one is while fold runs are under way."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        return Moment(draw.uniform(0, of.seconds))
    return Moment(draw.uniform(0, of.seconds - of.before), in_folds=True)


def disturb(studio: Studio, file: Path, moment: Moment, fault: Fault, *options: str) -> Disturbed:
    """Start `foldcam run`, let the fault strike at its moment, and wait for the end of the command."""
    known = len(studio.runs("fold"))
    process = studio.start("run", str(file), "--json", *options)
    with ended(process):
        if moment.in_folds:
            until(lambda: len(studio.runs("fold")) > known or process.poll() is not None, 120, "the first fold run")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment.seconds)
        struck = process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True) if struck else []
        if struck:
            fault(process)
        out, err = process.communicate(timeout=LONGEST)
    return Disturbed(process.returncode, out, err, struck, children)


def finish(studio: Studio, file: Path, calls: int = 1) -> None:
    """Call the command again until the experiment is completed, at most so many times."""
    for _ in range(calls):
        done = studio.foldcam("run", str(file), "--json", timeout=LONGEST)
        if done.returncode == 0:
            return
    raise AssertionError(f"not completed after {calls} calls, the last ended with {done.returncode}: {done.stderr}")


def assert_as_undisturbed(studio: Studio, of: Undisturbed) -> None:
    """Hold a finished studio against the undisturbed one: figures, runs, files."""
    assert figures(studio) == of.figures
    assert predictions(studio) == of.predictions
    done = [run.data.tags["foldcam.fingerprint"] for run in completed(studio)]
    assert len(done) == len(set(done)), "a fold run was done twice"
    assert [run.info.run_name for run in studio.runs() if run.info.status == "RUNNING"] == []
    assert [str(file) for file in half_written(studio)] == []


def completed(studio: Studio) -> list[Any]:
    """Give the completed fold runs."""
    return studio.runs("fold", status="completed")


def figures(studio: Studio) -> Figures:
    """Give the figures of every completed run, but for times and memory.

    Of a fold run every value that it ever had, so that nothing is recorded twice; of the experiment and its backbones,
    which a first call may have ended as partial and a second one completed, the values that MLflow shows.
    """
    client = studio.client
    found: Figures = {}
    for run in studio.runs(status="completed"):
        shown = {name: [value] for name, value in sorted(run.data.metrics.items()) if not _is_no_result(name)}
        if run.data.tags["foldcam.level"] == "fold":
            histories = {name: client.get_metric_history(run.info.run_id, name) for name in shown}
            shown = {name: [point.value for point in _by_step(points)] for name, points in histories.items()}
        found[run.info.run_name] = shown
    return found


def _by_step(points: list[Any]) -> list[Any]:
    return sorted(points, key=lambda point: (point.step, point.timestamp))


def predictions(studio: Studio) -> dict[str, bytes]:
    """Give the probabilities that every completed fold run predicted for its test images, as bytes."""
    tables = {
        run.info.run_name: pd.read_parquet(artifact(studio.client, run, "predictions.parquet"))
        for run in completed(studio)
    }
    return {name: table.filter(like="prob").to_numpy().tobytes() for name, table in sorted(tables.items())}


def weights(studio: Studio) -> set[str]:
    """Give a digest of the weights in each trained network's file below the studio's folder."""
    return {_weights_digest(file) for file in studio.folder.rglob("network.keras")}


def half_written(studio: Studio) -> list[Path]:
    """Give the files of the studio that are temporary or cut short: cache, artifacts, working folder, database."""
    return [file for file in _files(studio.folder) if file.name.endswith(UNFINISHED) or _is_broken(file)]


def records_without_content(studio: Studio) -> list[str]:
    """Give the names of completed fold runs that lack an artifact which every fold run has."""
    wanted = {"predictions.parquet", "history.csv"}
    return [run.info.run_name for run in completed(studio) if not wanted <= set(tree(studio.client, run))]


def _weights_digest(file: Path) -> str:
    found = hashlib.sha256()
    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as content:
        arrays: dict[str, np.ndarray] = {}
        content.visititems(lambda name, item: arrays.update({name: item[()]}) if hasattr(item, "dtype") else None)
    for name, array in sorted(arrays.items()):
        found.update(name.encode() + np.asarray(array).tobytes())
    return found.hexdigest()


def _is_no_result(name: str) -> bool:
    return name.startswith(NOT_RESULTS) or name.endswith(("/seconds", "_seconds")) or "/cost/" in name


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _is_broken(file: Path) -> bool:
    try:
        if file.suffix == ".parquet":
            pd.read_parquet(file)
        elif file.suffix in (".png", ".jpg"):
            with Image.open(file) as image:
                image.load()
        elif file.suffix == ".keras":
            with zipfile.ZipFile(file) as archive:
                return archive.testzip() is not None
        elif file.suffix == ".db":
            with contextlib.closing(sqlite3.connect(file)) as database:
                return database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
        elif file.suffix in (".json", ".html", ".csv", ".yaml", ".npy"):
            return file.stat().st_size == 0
    except Exception:
        return True
    return False


def kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill a process and all below it at once, as a power cut does: they are stopped first, so that none reacts."""
    below = psutil.Process(process.pid)
    family = [below, *below.children(recursive=True)]
    for signal_name in ("suspend", "kill"):
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(member, signal_name)()


long = pytest.mark.long
"""Marks a test that only `make faults` runs."""

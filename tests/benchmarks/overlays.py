"""Overlays rendered and logged, and rendered and written."""

from __future__ import annotations

import filecmp
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tasks.explanation.gallery import write_overlays
from tasks.tracking.ledger import Ledger
from tasks.tracking.records import Folder
from tasks.tracking.store import local_copy
from tasks.tracking.writer import Writer
from tests.benchmarks.material import pictures

SIZE = 224


def both_ways(tracking_uri: str, folder: str, n: int, repeats: int) -> dict[str, Any]:
    """Give the seconds of `logged` and `written`, of the `upload` alone and of a bare `copy`; and files that differ."""
    scratch = Path(folder)
    images = pictures(min(n, 200), SIZE)
    maps = np.random.default_rng(0).random((n, 7, 7)).astype(np.float32)
    ledger = Ledger(tracking_uri, "benchmark")
    seconds: dict[str, list[float]] = {"logged": [], "written": [], "upload": [], "copy": []}
    different = 0

    def render(target: Path) -> None:
        names = [f"{number:04d}.png" for number in range(n)]
        write_overlays(
            target, (images[number % len(images)] for number in range(n)), maps, names, np.arange(n) % 2 == 0
        )

    for number in range(repeats + 1):
        logged, written = scratch / f"logged-{number}", scratch / f"written-{number}"
        run_id = ledger.runs.start("fold", "fold", parent=None, tags={})
        rendering = _seconds(lambda target=logged: render(target))
        upload = _seconds(lambda run_id=run_id, source=logged: _log(tracking_uri, run_id, source))
        plain = _seconds(lambda target=written: render(target))
        copy = _seconds(lambda source=written, target=scratch / f"copy-{number}": shutil.copytree(source, target))
        kept = local_copy(ledger.client, run_id, "explanations", scratch)
        different += _differences(written, kept)
        if number == 0:
            continue  # to warm up
        for name, value in (("logged", rendering + upload), ("written", plain), ("upload", upload), ("copy", copy)):
            seconds[name].append(value)
    return seconds | {"different": different}


def _log(tracking_uri: str, run_id: str, source: Path) -> None:
    Writer(tracking_uri, run_id).write([Folder(source, "explanations")])


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _differences(a: Path, b: Path) -> int:
    files = [file.relative_to(a) for file in a.rglob("*.png")]
    _, mismatched, missing = filecmp.cmpfiles(a, b, [str(file) for file in files], shallow=False)
    return len(mismatched) + len(missing)

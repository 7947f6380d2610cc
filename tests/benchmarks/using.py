"""Rows: what it takes to use a model."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.bench import COMMAND, Bench, Place
from tests.benchmarks.material import settings, write_images
from tests.benchmarks.registry import Disagree, Outcome, Part, row
from tests.support.serving import Served, in_base64, served_model

CLIENTS = 4
"""Requests that are under way at a time."""


@row(
    ours="`mlflow models serve` of the champion after a minute of load: four clients, eight images of 25 px a request",
    theirs="the same after its first ten seconds; resident memory of the server's processes",
    clock="memory",
    alone=True,
)
def serving(bench: Bench) -> Outcome:
    place, images = _champion(bench)
    texts = [in_base64(file.read_bytes()) for file in sorted(images.rglob("*.png"))[:8]]
    seconds = bench.sized(60, 2)
    ours, theirs, rates = [], [], []
    for _ in range(bench.repeats):
        with served_model("models:/study@champion", place.tracking_uri, bench.folder()) as server:
            _load(server, texts, seconds / 6)
            theirs.append(server.memory())
            rates.append(_load(server, texts, seconds) * len(texts) / seconds)
            ours.append(server.memory())
    part = Part("", "more", 50, "MB", ours, theirs)
    return Outcome([part], "every request was answered alike", {"images/s": rates})


@row(
    ours="`foldcam predict` of 10,000 images of 25 px by the champion: the most memory that the command holds",
    theirs="the same of 1,000 images",
    clock="memory",
)
def predicting_memory(bench: Bench) -> Outcome:
    place, _ = _champion(bench)
    counts = (bench.sized(10_000, 300), bench.sized(1_000, 100))
    images = {count: write_images(bench.folder() / "later", count, 25) for count in counts}

    def peak(count: int) -> dict[str, Any]:
        out = str(bench.folder() / "out.parquet")
        command = [*COMMAND, "predict", str(images[count]), "--model", "models:/study@champion", "--out", out, "--json"]
        variables = dict(place.variables)
        return dict(bench.single("tests.benchmarks.watched:peaks_of", command=command, variables=variables).result)

    many, few = bench.interleaved(*(lambda count=count: peak(count) for count in counts))
    for found, count in ((many, counts[0]), (few, counts[1])):
        if any(one["images"] != count for one in found):
            raise Disagree(f"{count} images were given, and {[one['images'] for one in found]} predicted")
    parts = [
        Part(f"{kind} memory", "share", 1.1, "MB", [one[kind] for one in many], [one[kind] for one in few])
        for kind in ("private", "resident")
    ]
    return Outcome(parts, f"all {counts[0]} and {counts[1]} images predicted")


def _champion(bench: Bench) -> tuple[Place, Path]:
    """Make an experiment of two folds with its champion; give its place and its images."""
    place = bench.place()
    images = write_images(bench.folder() / "images", 200, 25)
    own = {"name": "study", "backbones": {"ncnn": {"size": 34}}, "folds": {"n_splits": 2}}
    quick = {"training": {"epochs": 1}, "comparison": {"cost": False}, "champion": {"enabled": True}}
    place.foldcam("run", str(place.write(settings(images, **own, **quick))), "--json")
    return place, images


def _load(server: Served, texts: list[str], seconds: float) -> int:
    """Ask without a pause from several clients; give the number of answers.

    Raises
    ------
    Disagree
        An answer was not that of the first request.
    """
    expected = server.post({"inputs": texts})
    answers: list[bool] = []
    end = time.monotonic() + seconds

    def ask() -> None:
        while time.monotonic() < end:
            answers.append(server.post({"inputs": texts}) == expected)

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if expected[0] != 200 or not all(answers):
        raise Disagree(
            f"{answers.count(False)} of {len(answers)} answers differ; the first had the status {expected[0]}"
        )
    return len(answers)

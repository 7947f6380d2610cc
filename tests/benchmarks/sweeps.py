"""Rows: a whole cross-validation against plain Keras loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.agree import compare
from tests.benchmarks.bench import Bench, Finished, Measured, Place
from tests.benchmarks.material import order_of, settings, write_images
from tests.benchmarks.registry import Outcome, Part, row

FIVE = ("vgg16", "resnet50", "senet50", "inceptionv3", "ncnn")
PROBABILITIES, MAPS, LOSSES = 1e-3, 5e-3, 1e-3
"""Allowed differences (of the losses: as a share). Both sides compute in float32, and only the sizes of batches and so
the order of sums differ: batches of 1, 16 and 32 end in other last bits, which every further step of training enlarges,
far more so where a whole block with batch normalisation is trained."""


PLAIN = (
    "fit, predict, Grad-CAM one image at a time as in the studies; each repeat runs one whole fold (0, 1, 2 in turn) "
    "and counts it five times"
)

OPTIMIZERS = {
    "base": {"name": "adam", "learning_rate": 1e-3},
    "last_block": {"name": "sgd", "learning_rate": 1e-4},
}
"""A block above random features is trained gently: at a rate of 1e-9 both sides agree to 1e-7, batch normalisation's
statistics included, but Adam at 1e-4 has made differences of tenths out of the last bits after 40 steps."""


@row(
    ours="one warm worker with a cold cache: 5 folds × 5 epochs, evaluation and Grad-CAM of all 200 images, ResNet50",
    theirs=f"the same in plain Keras: {PLAIN}",
    clock="cpu",
    alone=True,
)
def sweep_frozen(bench: Bench) -> Outcome:
    return _sweep(bench, "base", 30)


@row(
    ours="one warm worker with a cold cache, the last block trained, from frozen features below it, ResNet50",
    theirs=f"the same in plain Keras: {PLAIN}",
    clock="cpu",
)
def sweep_last_block(bench: Bench) -> Outcome:
    return _sweep(bench, "last_block", 4)


def _sweep(bench: Bench, freeze: str, goal: float) -> Outcome:
    """Measure a whole sweep of ours, and one fold a repeat of theirs."""
    done: list[int] = []

    images = write_images(bench.folder() / "images", bench.sized(200, 40), 96)
    training = {"epochs": bench.sized(5, 2), "optimizer": OPTIMIZERS[freeze]}
    model = {"size": bench.sized(96, 64), "freeze": freeze}
    values = settings(images, backbones=["resnet50"], model=model, training=training)

    def ours() -> Measured:
        return bench.single("tests.benchmarks.ours:sweep", order=order_of(values, bench.folder(), "resnet50"))

    def theirs() -> Measured:
        order = order_of(values, bench.folder(), "resnet50")
        done.append(len(done) % 5)
        return bench.single("tests.benchmarks.baselines.plain_loop:sweep", order=order, folds=done[-1:])

    a, b = bench.interleaved(ours, theirs)
    allowed = {"probabilities": PROBABILITIES, "maps": MAPS, "losses": LOSSES}
    agreement = [compare(*_comparable(x, y, n), allowed) for n, (x, y) in enumerate(zip(a, b, strict=True))][-1]
    part = Part("", "faster", goal, "CPU s", [x.cpu for x in a], [5 * y.cpu for y in b])
    wall = {"ours": [x.wall for x in a], "theirs": [5 * y.wall for y in b]}
    return Outcome([part], agreement, {"wall s": wall})


def _comparable(ours: Measured, theirs: Measured, repeat: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Give both sides' results for the folds that theirs has run, losses as shares of theirs."""
    rows, losses = theirs.result["rows"], theirs.result["losses"]
    own = {name: ours.result[name][rows] for name in ("probabilities", "maps")}
    return own | {"losses": ours.result["losses"][[repeat % 5]] / losses}, theirs.result | {"losses": losses / losses}


@row(
    ours="`foldcam run` from a cold cache, five backbones × 5 folds × 5 epochs, all frozen at their base, 200 images "
    "of 96 px: start-up, Prefect, MLflow, pictures, plots, report and all",
    theirs="five plain Keras loops, one after the other with all cores: fit, predict, Grad-CAM and overlay one image "
    "at a time; each repeat runs one whole fold of each (0, 1, 2 in turn) and counts it five times, imports left out",
    clock="wall",
)
def sweep_five(bench: Bench) -> Outcome:
    images = write_images(bench.folder() / "images", bench.sized(200, 40), 96)
    backbones: dict[str, Any] = {name: bench.sized({}, {"size": 75 if name == "inceptionv3" else 34}) for name in FIVE}
    values = settings(images, backbones=backbones) | bench.sized({}, {"training": {"epochs": 1}})
    orders = {name: order_of(values, bench.folder(), name) for name in FIVE}
    runs: list[tuple[Place, Finished]] = []

    def ours() -> Finished:
        here = bench.place()
        runs.append((here, here.foldcam("run", str(here.write(values)), "--json")))
        return runs[-1][1]

    def theirs() -> Measured:
        return bench.whole(
            "tests.benchmarks.baselines.plain_loop:five",
            orders=orders,
            fold=(len(runs) - 1) % 5,
            overlays=str(bench.folder()),
        )

    a, b = bench.interleaved(ours, theirs)
    agreement = [
        compare(
            _scored(bench, here, run, number % 5), y.result, {f"{name}/probabilities": PROBABILITIES for name in FIVE}
        )
        for number, ((here, run), y) in enumerate(zip(runs, b, strict=True))
    ][-1]
    part = Part("", "faster", 10, "s", [x.wall for x in a], [5 * y.wall for y in b])
    cpu = {"ours": [x.cpu for x in a], "theirs": [5 * y.cpu for y in b]}
    steps = {name: _steps(bench, *runs[-1], name) for name in FIVE}
    beside = {"CPU s": cpu, "seconds by step": a[-1].json["seconds"], "mean seconds of a fold run": steps}
    return Outcome([part], agreement, beside)


def _steps(bench: Bench, place: Place, run: Finished, backbone: str) -> dict[str, float]:
    """Give where the time of a backbone's fold runs went."""
    ids = [fold["run_id"] for fold in run.json["backbones"][backbone]["folds"]]
    return bench.single("tests.benchmarks.record:seconds_by_step", tracking_uri=place.tracking_uri, run_ids=ids).result


def _scored(bench: Bench, place: Place, run: Finished, fold: int) -> dict[str, np.ndarray]:
    """Give the probabilities that MLflow has of a fold's test images, in the manifest's order."""
    ids = {
        name: next(own["run_id"] for own in found["folds"] if own["fold"] == fold)
        for name, found in run.json["backbones"].items()
    }
    return bench.single("tests.benchmarks.record:probabilities", tracking_uri=place.tracking_uri, run_ids=ids).result

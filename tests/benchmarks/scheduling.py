"""Fold runs on a large cluster, simulated: `python -m tests.benchmarks.scheduling [--gpus 64] [--folds 200]`.

The order is the one that the flow uses, and so are the rules by which a cluster gets work: a backbone's fold runs once
it is prepared, as many as there are places and one in `AHEAD` more, of which the engine begins any.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from flows.cluster_folds import AHEAD
from tasks.config import Experiment
from tasks.planning import order_of_work
from tasks.workers.plan import Cell

IMAGES_A_SECOND = {"vgg16": 5.6, "resnet50": 11.0, "senet50": 8.6, "inceptionv3": 21.0, "ncnn": 53.0}
"""Trained whole, forward and backward, a core, 96 pixels (N-CNN: 120), measured."""

TRAINED, EPOCHS = 200, 10
"""Images that a fold run trains on, and its most epochs."""

STOPPED_FROM = 0.5
"""Fits stop early: they take from this share of the epochs to all of them, whichever as likely."""

STARTING = 30.0
"""Seconds from a place to the first step of a fold run in a worker that is not warm: foldcam and TensorFlow loaded, the
network built and compiled, measured."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Simulated:
    """A simulated experiment.

    Attributes
    ----------
    hours : float
        From the first job to the last one's end.
    idle : float
        Share of all places' time without a job, from 0 to 1.
    waiting : float
        The same, and what fold runs take to start counted as idle too.
    """

    hours: float
    idle: float
    waiting: float


def experiment() -> Experiment:
    """Give the experiment: five backbones, trained whole on small pictures."""
    sizes = {name: {} if name == "ncnn" else {"size": 96} for name in IMAGES_A_SECOND}
    model, training = {"freeze": "none"}, {"epochs": EPOCHS}
    return Experiment(name="large", data={"path": "."}, backbones=sizes, model=model, training=training)


def draw(cells: list[Cell], seed: int) -> dict[Cell, float]:
    """Give the seconds of each fold run, its start included."""
    chance = random.Random(seed)
    epochs = {cell: EPOCHS * chance.uniform(STOPPED_FROM, 1) for cell in cells}
    return {cell: STARTING + epochs[cell] * TRAINED / IMAGES_A_SECOND[cell[0]] for cell in cells}


def simulate(order: list[Cell], seconds: Mapping[Cell, float], places: int, seed: int) -> Simulated:
    """Let a cluster do fold runs in an order, each backbone's after its preparation."""
    chance = random.Random(seed)
    room = places + max(1, places // AHEAD)
    preparing: list[Cell] = [(backbone, -1) for backbone in dict.fromkeys(backbone for backbone, _ in order)]
    took = {**seconds, **dict.fromkeys(preparing, STARTING)}
    left, given, running, prepared = list(reversed(order)), preparing, [], set()
    now = busy = 0.0
    while left or given or running:
        while left and left[-1][0] in prepared and len(given) + len(running) < room:
            given.append(left.pop())
        while given and len(running) < places:
            first = 0 if given[0][1] < 0 else chance.randrange(len(given))
            cell = given.pop(first)
            busy += took[cell]
            heapq.heappush(running, (now + took[cell], cell))
        now, ended = heapq.heappop(running)
        if ended[1] < 0:
            prepared.add(ended[0])
    started = STARTING * len(order)
    return Simulated(now / 3600, 1 - busy / (places * now), 1 - (busy - started) / (places * now))


@app.command()
def main(
    gpus: Annotated[int, typer.Option(help="Fold runs at a time.")] = 64,
    folds: Annotated[int, typer.Option(help="Folds, for each of five backbones.")] = 200,
    draws: Annotated[int, typer.Option(help="How often the fold runs' lengths are drawn anew.")] = 20,
) -> None:
    """Simulate the experiment and print how much of the cluster was idle."""
    settings = experiment()
    cells = [(backbone, fold) for backbone in settings.backbones for fold in range(folds)]
    order = order_of_work(settings, cells, gpus)
    shuffled = random.Random(0).sample(cells, len(cells))
    by_fold = sorted(cells, key=lambda cell: cell[1])
    for name, own in {"foldcam's order": order, "fold after fold": by_fold, "any order": shuffled}.items():
        found = [simulate(own, draw(cells, seed), gpus, seed) for seed in range(draws)]
        worst, mean = max(one.idle for one in found), sum(one.idle for one in found) / draws
        hours, waiting = max(one.hours for one in found), max(one.waiting for one in found)
        typer.echo(
            f"{name}: {len(cells):,} fold runs on {gpus} places take up to {hours:.2f} h; idle {100 * mean:.1f} % "
            f"(at most {100 * worst:.1f} %), with the starts of fold runs at most {100 * waiting:.1f} %"
        )


if __name__ == "__main__":
    app()

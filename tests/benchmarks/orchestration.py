"""Rows: what Prefect, MLflow, the workers and a second call cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tests.benchmarks.agree import compare
from tests.benchmarks.bench import Bench, Finished, Measured, Place
from tests.benchmarks.material import plan_of, settings, write_images
from tests.benchmarks.registry import Disagree, Outcome, Part, row

METRICS = 1e-6
"""Allowed difference of test metrics: both sides run the same code on the same machine."""
WORKERS = 2


@row(
    ours="`foldcam run` with 2 workers, fold runs of N-CNN: Prefect, MLflow, pictures, plots, tables, model files",
    theirs="the same fits, predictions and maps as plain function calls in 2 processes, nothing written; both sides: "
    "seconds between ends of fold runs once every worker is warm",
    clock="wall",
)
def overhead(bench: Bench) -> Outcome:
    images = write_images(bench.folder() / "images", bench.sized(200, 48), 96)
    n_folds = bench.sized(15, 6)
    values = settings(
        images,
        folds={"n_splits": n_folds},
        backbones={"ncnn": {"size": 62, "freeze": "none"}},
        training={"epochs": bench.sized(2, 1)},
        runner={"workers": WORKERS},
    )

    def ours() -> tuple[list[float], dict[int, float], Finished]:
        place = bench.place()
        done = place.foldcam("run", str(place.write(values)), "--json")
        return (*_ends_and_losses(bench, place, done), done)

    def theirs() -> tuple[list[float], dict[int, float]]:
        plan = plan_of(values, bench.folder())
        orders = [plan.order("fold", ("ncnn", fold)) for fold in range(n_folds)]
        with ThreadPoolExecutor(WORKERS) as processes:
            done = list(processes.map(lambda k: _plain(bench, orders[k::WORKERS]), range(WORKERS)))
        ends = sorted(end for found in done for end in found.result["ends"])
        return ends, {fold: loss for found in done for fold, loss in found.result["losses"].items()}

    a, b = bench.interleaved(ours, theirs)
    agreement = [_same_losses(x[1], y[1]) for x, y in zip(a, b, strict=True)][-1]
    first = 2 * WORKERS
    part = Part("", "more", 0.5, "s a fold run", [_pace(x[0], first) for x in a], [_pace(y[0], first) for y in b])
    return Outcome(
        [part], agreement, {"seconds by step": a[-1][2].json["seconds"], "whole command s": [x[2].wall for x in a]}
    )


def _plain(bench: Bench, orders: list[Any]) -> Measured:
    return bench.single("tests.benchmarks.ours:fold_runs", orders=orders)


def _pace(ends: list[float], first: int) -> float:
    """Give the seconds from one end to the next, those before the number `first` left out."""
    return (ends[-1] - ends[first - 1]) / (len(ends) - first) if len(ends) > first else ends[-1] - ends[0]


def _ends_and_losses(bench: Bench, place: Place, done: Finished) -> tuple[list[float], dict[int, float]]:
    folds = [fold for own in done.json["backbones"].values() for fold in own["folds"]]
    run_ids = {fold["fold"]: fold["run_id"] for fold in folds}
    found = bench.single("tests.benchmarks.record:ends_and_losses", tracking_uri=place.tracking_uri, run_ids=run_ids)
    return found.result


def _same_losses(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Compare the log loss of every fold run's test images.

    Raises
    ------
    Disagree
        They differ, or other fold runs were done.
    """
    if sorted(ours) != sorted(theirs):
        raise Disagree(f"fold runs {sorted(ours)} and {sorted(theirs)}")
    a, b = (np.array([side[fold] for fold in sorted(side)]) for side in (ours, theirs))
    return compare({"test log losses": a}, {"test log losses": b}, {"test log losses": METRICS})


@row(
    ours="2 warm workers of one thread each: whole fold runs of N-CNN, logged to MLflow",
    theirs="1 warm worker of one thread; both sides: from the first order to the last answer",
    clock="wall",
)
def workers(bench: Bench) -> Outcome:
    images = write_images(bench.folder() / "images", bench.sized(200, 48), 96)
    n_folds = bench.sized(6, 4)
    values = settings(
        images,
        folds={"n_splits": n_folds},
        backbones={"ncnn": {"size": bench.sized(120, 62), "freeze": "none"}},
        training={"epochs": bench.sized(2, 1)},
    )
    place = bench.place()
    plan = plan_of(values, place.folder / "cache")
    found = bench.whole(
        "tests.benchmarks.pools:paces",
        orders=[plan.order("fold", ("ncnn", fold)) for fold in range(n_folds)],
        tracking_uri=place.tracking_uri,
        repeats=bench.repeats,
    ).result
    agreement = [_same_losses(x, y) for x, y in zip(*found["losses"], strict=True)][-1]
    rates = [[n_folds / seconds for seconds in side] for side in found["seconds"]]
    return Outcome([Part("", "throughput", 1.7, "fold runs/s", *rates)], agreement)


@row(
    ours="a finished experiment of 25 fold runs run again: `foldcam run` from start to exit, imports and all",
    theirs="its first run; and the same of an experiment with 20 times the images",
    clock="wall",
)
def resume(bench: Bench) -> Outcome:
    first, again, results = {}, {}, {}
    counts = {"few": bench.sized(200, 40), "many": bench.sized(4000, 120)}
    places = {name: bench.place() for name in counts}
    files = {}
    for name, count in counts.items():
        images = write_images(bench.folder() / "images", count, 25)
        values = settings(
            images,
            folds={"n_splits": bench.sized(25, 3)},
            backbones={"ncnn": {"size": 34}},
            training={"epochs": 1, "batch_size": 64},
            explanation={"max_images": 4},
        )
        files[name] = str(places[name].write(values))
        first[name] = places[name].foldcam("run", files[name], "--json")
    runs = bench.interleaved(*(lambda name=name: places[name].foldcam("run", files[name], "--json") for name in counts))
    again = dict(zip(counts, runs, strict=True))
    for name in counts:
        results[name] = [_same_report(first[name], run) for run in again[name]]
    few, many = ([run.wall for run in again[name]] for name in counts)
    parts = [
        Part("", "at most", 5, "s", few, [first["few"].wall]),
        Part("20 × the images", "at most", 5, "s", many, [first["many"].wall]),
        Part("20 × the images, growth", "share", 1.2, "s", many, few),
    ]
    return Outcome(parts, results["few"][-1], {"CPU s": {name: [run.cpu for run in again[name]] for name in counts}})


def _same_report(first: Finished, again: Finished) -> str:
    """Check that the second call reports what the first one did, all fold runs reused.

    Raises
    ------
    Disagree
        It does not.
    """
    backbones = [(run.json["backbones"], run.json["ranking"], run.json["data_digest"]) for run in (first, again)]
    for name, own in backbones[1][0].items():
        if any(fold["status"] != "reused" for fold in own["folds"]):
            raise Disagree(f"{name} was done again")
        if own["metrics"] != backbones[0][0][name]["metrics"]:
            raise Disagree(f"{name} has other metrics than at first")
    if backbones[0][1:] != backbones[1][1:]:
        raise Disagree("ranking or data differ")
    return "metrics, ranking and data the same, every fold run reused"

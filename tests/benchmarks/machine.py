"""Rows: memory, disk and start-up."""

from __future__ import annotations

import sys

from tests.benchmarks.bench import COMMAND, Bench, run
from tests.benchmarks.material import plan_of, settings, write_images
from tests.benchmarks.registry import Disagree, Outcome, Part, row

STARTS = 5
"""How often at least a start is measured: it takes under a second, and noise is a large share of that."""


@row(
    ours="a worker process with 20,000 images: frozen features of N-CNN, then a fold run with 500 maps",
    theirs="the same with 1,000 images; private memory is what the process alone holds, resident memory counts mapped "
    "files too, which the system takes back when it needs them",
    clock="memory",
)
def memory(bench: Bench) -> Outcome:
    counts = (bench.sized(20_000, 400), bench.sized(1_000, 100))
    plans = {count: _settings_of(bench, count) for count in counts}

    def peak(count: int) -> dict[str, float]:
        place = bench.place()
        plan = plan_of(plans[count], place.folder / "cache")
        orders = [plan.order("features", ("ncnn", -1)), plan.order("fold", ("ncnn", 0))]
        return bench.single("tests.benchmarks.peaks:peaks", orders=orders, tracking_uri=place.tracking_uri).result

    many, few = bench.interleaved(*(lambda count=count: peak(count) for count in counts))
    for found, count in ((many, counts[0]), (few, counts[1])):
        if any(one["images"] != count for one in found):
            raise Disagree(f"{count} images were given, and {[one['images'] for one in found]} used")
    parts = [
        Part(f"{kind} memory", "share", 1.1, "MB", [one[kind] for one in many], [one[kind] for one in few])
        for kind in ("private", "resident")
    ]
    return Outcome(parts, f"all {counts[0]} and {counts[1]} images used")


def _settings_of(bench: Bench, count: int) -> dict[str, object]:
    images = write_images(bench.folder() / "images", count, 25)
    training = {"epochs": 1, "batch_size": 64}
    explanation = {"max_images": bench.sized(500, 8)}
    own = {"backbones": {"ncnn": {"size": 34}}, "training": training, "explanation": explanation}
    return settings(images, **own)


@row(
    ours="1,000 overlays of 224 px rendered and logged to MLflow's local store",
    theirs="the same overlays rendered and written to a folder, by the same code",
    clock="wall",
)
def logging(bench: Bench) -> Outcome:
    place = bench.place()
    found = bench.whole(
        "tests.benchmarks.overlays:both_ways",
        tracking_uri=place.tracking_uri,
        folder=str(bench.folder()),
        n=bench.sized(1000, 40),
        repeats=bench.repeats,
    ).result
    if found["different"]:
        raise Disagree(f"{found['different']} of the files differ")
    part = Part("", "share", 2, "s", found["logged"], found["written"])
    return Outcome(
        [part], "files equal byte by byte", {"upload alone s": found["upload"], "bare copy s": found["copy"]}
    )


@row(ours="`foldcam --help`", theirs="`python -c pass`", clock="wall")
def help(bench: Bench) -> Outcome:
    folder = bench.folder()
    run([*COMMAND, "--help"], {}, folder)
    ours, theirs = [], []
    for _ in range(max(bench.repeats, STARTS)):
        ours.append(run([*COMMAND, "--help"], {}, folder))
        theirs.append(run([sys.executable, "-c", "pass"], {}, folder))
    if not all("Usage" in one.out for one in ours):
        raise Disagree("the command printed no help")
    part = Part("", "more", 0.8, "s", [one.wall for one in ours], [one.wall for one in theirs])
    return Outcome([part], "help is printed")

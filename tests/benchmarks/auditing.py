"""Rows: what the audit of the data takes."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.bench import COMMAND, Bench, Finished
from tests.benchmarks.material import settings, write_images
from tests.benchmarks.registry import Disagree, Outcome, Part, row


@row(
    ours="`foldcam check` of 20,000 images of 25 px, nothing remembered, with page and JSON",
    theirs="the same of 2,000 images; private memory is what the process alone holds, resident memory counts mapped "
    "files too",
    clock="memory",
)
def audit_memory(bench: Bench) -> Outcome:
    counts = (bench.sized(20_000, 200), bench.sized(2_000, 100))
    images = {count: write_images(bench.folder() / "images", count, 25) for count in counts}

    def peak(count: int) -> dict[str, Any]:
        place = bench.place()
        file = place.write(settings(images[count], backbones=["ncnn"]))
        command = [*COMMAND, "check", str(file), "--json", "--out", str(place.folder / "audit")]
        variables = dict(place.variables)
        return dict(bench.single("tests.benchmarks.watched:peaks_of", command=command, variables=variables).result)

    many, few = bench.interleaved(*(lambda count=count: peak(count) for count in counts))
    for found, count in ((many, counts[0]), (few, counts[1])):
        if any(one["images"] != count for one in found):
            raise Disagree(f"{count} images were given, and {[one['images'] for one in found]} audited")
    parts = [
        Part(f"{kind} memory", "share", 1.2, "MB", [one[kind] for one in many], [one[kind] for one in few])
        for kind in ("private", "resident")
    ]
    return Outcome(parts, f"all {counts[0]} and {counts[1]} images audited")


@row(
    ours="`foldcam check` of 2,000 images of 384 px again, no file changed: from start to exit, imports and all",
    theirs="its first call, which reads every file",
    clock="wall",
)
def audit_again(bench: Bench) -> Outcome:
    images = write_images(bench.folder() / "images", bench.sized(2_000, 60), 384)
    place = bench.place()
    file = str(place.write(settings(images, backbones=["ncnn"])))
    first, again = bench.interleaved(
        lambda: place.foldcam("check", file, "--json", "--fresh"), lambda: place.foldcam("check", file, "--json")
    )
    part = Part("", "faster", 2, "s", [run.wall for run in again], [run.wall for run in first])
    return Outcome([part], _same_audit([*first, *again]), {"CPU s": [run.cpu for run in again]})


def _same_audit(runs: list[Finished]) -> str:
    """Check that all calls found the same.

    Raises
    ------
    Disagree
        They did not.
    """
    if any(run.json != runs[0].json for run in runs):
        raise Disagree("counts or findings differ")
    return "counts and findings the same"


@row(
    ours="all pairs of 20,000 pictures whose hashes differ in at most 4 of 64 bits, flips and rotations included",
    theirs="the same by numpy, each hash compared with each",
    clock="cpu",
)
def lookalikes(bench: Bench) -> Outcome:
    n = bench.sized(20_000, 400)
    ours, theirs = bench.interleaved(
        lambda: bench.single("tests.benchmarks.alike:searched", n=n),
        lambda: bench.single("tests.benchmarks.alike:compared", n=n),
    )
    if any(one.result != ours[0].result for one in (*ours, *theirs)):
        raise Disagree("other pairs, or at another distance")
    seconds = [one.cpu for one in ours]
    parts = [
        Part("", "faster", 5, "CPU s", seconds, [one.cpu for one in theirs]),
        Part("alone", "at most", 10, "CPU s", seconds),
    ]
    return Outcome(parts, f"the same {len(ours[0].result)} pairs at the same distances")

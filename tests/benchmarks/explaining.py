"""Rows: what explanation costs, counted in plain passes through the network.

`python -m tests.benchmarks.explaining` prints the last results as docs/performance.md has them: a line a method.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.agree import compare
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import Disagree, Outcome, Part, row

SIDES = "tests.benchmarks.baselines.explaining_sides"
GOAL = 1.3
COMPARED = dict.fromkeys(("Sanity", "Noise", "Shift"), 1.5)
"""The goals of measures that make maps and then compare them: what the comparing takes is no pass."""
SIZES = {"vgg16": 96, "resnet50": 96, "ncnn": 120}
MEASURED = ("resnet50", "ncnn")
"""The backbones on which the measures are timed."""


@row(
    ours="each method, called as a fold run calls it, settings by default but for 100 masks of RISE; N-CNN at 120 px, "
    "others at 96; compiled before the clock starts",
    theirs="the passes that it takes in theory, of plain compiled functions in batches of the same size: a forward "
    "pass, one with the backward pass down to the image, the backward pass of what lies above the layer; each timed in "
    "the same process, in turn with the methods",
    clock="cpu",
)
def explaining(bench: Bench) -> Outcome:
    parts, said, beside = [], [], {}
    quick = {"smoothgrad": {"n_samples": 3}, "integrated_gradients": {"steps": 3}, "scorecam": {"max_channels": 3}}
    options = bench.sized({"rise": {"n_masks": 100}}, quick | {"rise": {"n_masks": 3}})
    for name, size in SIZES.items():
        settings = {"size": bench.sized(size, 48), "n": bench.sized(32, 2), "repeats": bench.repeats}
        found = bench.single(f"{SIDES}:methods", backbone=name, options=options, **settings).result
        tolerances = {side: 1e-4 if side == "saliency" else 1e-5 for side in found["theirs"]}
        compare(found["ours"], found["theirs"], tolerances)
        said.append(f"{name}: {_plain(found)}; probabilities to 1e-05, slopes to 0.0001")
        parts += _parts(name, found)
        beside[name] = found["plain"]
    return Outcome(parts, "; ".join(said), beside)


@row(
    ours="each measure of Grad-CAM's maps: faithfulness of 8 images, sanity, noise and shift of 64; N-CNN at 120 px, "
    "ResNet50 at 96",
    theirs="the passes that it takes in theory, those of its maps included, as in `explaining`, in batches of 32",
    clock="cpu",
)
def explaining_measures(bench: Bench) -> Outcome:
    parts, said, beside = [], [], {}
    for name in MEASURED:
        settings = {"size": bench.sized(SIZES[name], 48), "n": bench.sized(64, 6), "n_deleted": bench.sized(8, 6)}
        found = bench.single(f"{SIDES}:measures", backbone=name, repeats=bench.repeats, **settings).result
        if found["ours"] != found["theirs"]:
            raise Disagree(f"{name}: passes counted {found['ours']}, in theory {found['theirs']}")
        said.append(f"{name}: {_plain(found)}; as many passes as counted")
        parts += _parts(name, found)
        beside[name] = found["plain"]
    return Outcome(parts, "; ".join(said), beside)


def _parts(backbone: str, found: Mapping[str, Any]) -> list[Part]:
    return [
        Part(
            f"{backbone}, {title}: {one['theory']}",
            "slower",
            COMPARED.get(title, GOAL),
            "images/s",
            one["ours"],
            one["theirs"],
        )
        for title, one in found["rates"].items()
    ]


def _plain(found: Mapping[str, Any]) -> str:
    """Say what the plain passes take."""
    seconds = {name: median(one[name] for one in found["plain"]) for name in found["plain"][0]}
    size = min(int(name.split()[1]) for name in seconds if name.startswith("forward"))
    forward, above = seconds[f"forward {size}"], max(seconds["head and back"] - seconds["head"], 0.0)
    return (
        f"a forward pass {1 / forward:.3g} images/s, forward and back {seconds[f'both {size}'] / forward:.2f} times as "
        f"long, back to the layer {above / forward:.4f} times"
    )


def tables(results: Mapping[str, Any]) -> str:
    """Give a table for each measured row, in Markdown: a line a method, a column a backbone."""
    return "\n".join(
        _table(results["rows"][name]["parts"])
        for name in ("explaining", "explaining_measures")
        if results["rows"].get(name, {}).get("status") == "measured"
    )


def _table(parts: list[dict[str, Any]]) -> str:
    cells: dict[str, dict[str, str]] = {}
    passes: dict[str, list[str]] = {}
    for part in parts:
        backbone, title, theory = part["name"].replace(": ", ", ", 1).split(", ", 2)
        cells.setdefault(title, {})[backbone] = f"{part['ours_median']:.3g} images/s, {part['value']:.2f} ×"
        if theory not in passes.setdefault(title, []):
            passes[title].append(theory)
    backbones = list(next(iter(cells.values())))
    lines = [["method", "passes in theory", *backbones], ["---"] * (2 + len(backbones))]
    lines += [[title, " / ".join(passes[title]), *found.values()] for title, found in cells.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(tables(json.loads(Path("benchmarks.json").read_text(encoding="utf-8"))))

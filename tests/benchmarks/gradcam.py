"""Rows: the price of Grad-CAM beside a plain forward pass, the studies' loop, and other libraries."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.agree import compare
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import Disagree, NotRun, Outcome, Part, row

SIDES = "tests.benchmarks.baselines.gradcam_sides"
MAPS = 2e-3
"""Allowed difference of maps divided by their maximum: a batch of one and a batch of eight end in other last bits."""
GOALS = {"vgg16": 6.0, "resnet50": 13.0}
BATCH = 8
CLASSES = (4, 100)
"""How many classes a model has whose classes are all explained at once."""


def _settings(bench: Bench, backbone: str) -> dict[str, Any]:
    sizes = {"size": bench.sized(224, 64), "n": bench.sized(16, 8)}
    return {"backbone": backbone, "repeats": bench.repeats, "batch": BATCH} | sizes


@row(
    ours="predictions and maps from one compiled call, batches of 8, 224 px, on all cores",
    theirs="the studies' loop: `model.predict` of one image, then the gradient, eagerly; on all cores",
    clock="wall",
)
def gradcam(bench: Bench) -> Outcome:
    parts, said, beside = [], [], {}
    for name, goal in GOALS.items():
        found = bench.whole(f"{SIDES}:against_studies", **_settings(bench, name)).result
        said.append(f"{name}: {compare(found['ours'], found['theirs'], {'probabilities': 1e-4, 'maps': MAPS})}")
        parts.append(Part(name, "throughput", goal, "images/s", *found["rates"]["wall"]))
        beside[f"{name}, images per CPU s"] = dict(zip(("ours", "theirs"), found["rates"]["cpu"], strict=True))
    return Outcome(parts, "; ".join(said), beside)


@row(
    ours="predictions and maps from one compiled call, batches of 8, 224 px; and the maps of all classes at once",
    theirs="a compiled forward pass of the same batches, predictions only",
    clock="cpu",
)
def gradcam_floor(bench: Bench) -> Outcome:
    parts, said = [], []
    for name, n_classes in itertools.product(GOALS, CLASSES):
        settings = _settings(bench, name) | {"n_classes": n_classes}
        found = bench.single(f"{SIDES}:against_forward", **settings).result
        label = f"{name}, all {n_classes} classes"
        said.append(f"{name}: {compare(found['ours'], found['theirs'], {'probabilities': 1e-5})}")
        said.append(f"{label}: {compare(found['every_class'], found['one_by_one'], {'maps': 1e-4})}")
        seconds = found["seconds"]
        if n_classes == CLASSES[0]:
            parts.append(Part(name, "share", 1.1, "s/image", seconds["ours"], seconds["forward"]))
        parts.append(Part(label, "share", 1.25, "s/image", seconds["every_class"], seconds["forward"]))
    return Outcome(parts, "; ".join(said))


@row(
    ours="predictions and maps from cached activations of the CAM layer, batches of 8, 224 px",
    theirs="a compiled forward pass of the same images, predictions only",
    clock="cpu",
)
def gradcam_cached(bench: Bench) -> Outcome:
    parts, said = [], []
    for name in GOALS:
        found = bench.single(f"{SIDES}:from_features", **_settings(bench, name)).result
        said.append(f"{name}: {compare(found['ours'], found['theirs'], {'probabilities': 1e-5, 'maps': 1e-4})}")
        parts.append(Part(name, "share", 0.1, "s/image", found["seconds"]["ours"], found["seconds"]["forward"]))
    return Outcome(parts, "; ".join(said))


PEERS = {"tf_keras_vis": "tf-keras-vis", "xplique": "xplique", "tf_explain": "tf-explain"}
"""Module and package. They are installed without their dependencies, beside foldcam's own packages, into a folder that
is thrown away; what they need and foldcam has not is installed there too."""
PEERS_NEED = (
    "opencv-python-headless",
    "deprecated",
    "einops",
    "tensorflow-probability",
    "tf-keras",
    "dm-tree",
    "cloudpickle",
    "decorator",
)


@row(
    ours="predictions and maps from one compiled call, batches of 8, 224 px",
    theirs="`model.predict` of the same batches, then tf-keras-vis, xplique or tf-explain, each in the way its "
    "documentation shows",
    clock="cpu",
    optional=True,
)
def gradcam_peers(bench: Bench) -> Outcome:
    folder = bench.folder()
    absent = _install(folder)
    parts, said, beside = [], [], dict(absent)
    for backbone in GOALS:
        for module, package in PEERS.items():
            if package in absent:
                continue
            try:
                found = bench.single(
                    "tests.benchmarks.baselines.peers:against_peer",
                    peer=module,
                    folder=str(folder),
                    **_settings(bench, backbone),
                ).result
                agreed = compare(found["ours"], found["theirs"], {"probabilities": 1e-5, "maps": 5e-3})
            except Disagree as fault:
                raise Disagree(f"{package}, {backbone}: {fault}") from None
            except Exception as fault:
                beside[f"{package}, {backbone}"] = f"does not run: {str(fault)[-300:]}"
            else:
                said.append(f"{package}, {backbone}: {agreed}")
                parts.append(Part(f"{package}, {backbone}", "throughput", 1.0, "images/s", *found["rates"]))
                beside[f"{package}, {backbone}, maps without predictions, images/s"] = found["maps alone"]
    if not parts:
        raise NotRun("; ".join(f"{name}: {reason}" for name, reason in beside.items()))
    return Outcome(parts, "; ".join(said), beside)


def _install(folder: Path) -> dict[str, str]:
    """Install the libraries into the folder; give the reason by package for those that cannot be had."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    absent = {}
    for package in (*PEERS_NEED, *PEERS.values()):
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", str(folder)]
        try:
            done = subprocess.run([*command, package], capture_output=True, text=True, timeout=300, check=False)
        except (OSError, subprocess.TimeoutExpired) as fault:
            done = subprocess.CompletedProcess(command, 1, "", str(fault))
        if done.returncode and package in PEERS.values():
            absent[package] = f"cannot be installed: {done.stderr.strip()[-300:]}"
    return absent

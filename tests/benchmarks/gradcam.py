"""Rows: the price of Grad-CAM beside a plain forward pass, the studies' loop, and other libraries."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.agree import compare
from tests.benchmarks.bench import Bench, Measured
from tests.benchmarks.registry import Disagree, NotRun, Outcome, Part, row

MAPS = 2e-3
"""Allowed difference of maps divided by their maximum: a batch of one and a batch of eight end in other last bits."""
GOALS = {"vgg16": 6.0, "resnet50": 13.0}
BATCH = 8


def _measure(bench: Bench, function: str, backbones: tuple[str, ...] = ("vgg16", "resnet50")) -> dict[str, Measured]:
    """Measure the sides in turn in one warm process a backbone: compiled first, then on the clock."""
    arguments = {"size": bench.sized(224, 64), "n": bench.sized(16, 8), "repeats": bench.repeats, "batch": BATCH}
    return {
        name: bench.single(f"tests.benchmarks.baselines.gradcam_sides:{function}", backbone=name, **arguments)
        for name in backbones
    }


@row(
    ours="predictions and maps from one compiled call, batches of 8, 224 px",
    theirs="the studies' loop: `model.predict` of one image, then the gradient, eagerly",
    clock="cpu",
)
def gradcam(bench: Bench) -> Outcome:
    parts, said = [], []
    for name, found in _measure(bench, "against_studies").items():
        result = found.result
        said.append(f"{name}: {compare(result['ours'], result['theirs'], {'probabilities': 1e-4, 'maps': MAPS})}")
        parts.append(Part(name, "throughput", GOALS[name], "images/s", *result["rates"]))
    return Outcome(parts, "; ".join(said))


@row(
    ours="predictions and maps from one compiled call, batches of 8, 224 px; and the maps of all four classes at once",
    theirs="a compiled forward pass of the same batches, predictions only",
    clock="cpu",
)
def gradcam_floor(bench: Bench) -> Outcome:
    parts, said = [], []
    for name, found in _measure(bench, "against_forward").items():
        result = found.result
        said.append(f"{name}: {compare(result['ours'], result['theirs'], {'probabilities': 1e-5})}")
        said[-1] += ", " + compare(result["every_class"], result["one_by_one"], {"maps": 1e-4})
        seconds = result["seconds"]
        parts.append(Part(name, "share", 1.1, "s/image", seconds["ours"], seconds["forward"]))
        parts.append(Part(f"{name}, every class", "share", 1.25, "s/image", seconds["every_class"], seconds["forward"]))
    return Outcome(parts, "; ".join(said))


@row(
    ours="predictions and maps from cached activations of the CAM layer, batches of 8, 224 px",
    theirs="a compiled forward pass of the same images, predictions only",
    clock="cpu",
)
def gradcam_cached(bench: Bench) -> Outcome:
    parts, said = [], []
    for name, found in _measure(bench, "from_features").items():
        result = found.result
        said.append(f"{name}: {compare(result['ours'], result['theirs'], {'probabilities': 1e-5, 'maps': 1e-4})}")
        parts.append(Part(name, "share", 0.1, "s/image", result["seconds"]["ours"], result["seconds"]["forward"]))
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
    theirs="tf-keras-vis, xplique, tf-explain, each in the way its documentation shows, without predictions",
    clock="cpu",
    optional=True,
)
def gradcam_peers(bench: Bench) -> Outcome:
    folder = bench.folder()
    absent = _install(folder)
    parts, said, beside = [], [], dict(absent)
    for backbone in ("vgg16", "resnet50"):
        for module, package in PEERS.items():
            if package in absent:
                continue
            try:
                found = bench.single(
                    "tests.benchmarks.baselines.peers:against_peer",
                    backbone=backbone,
                    peer=module,
                    folder=str(folder),
                    size=bench.sized(224, 64),
                    n=bench.sized(16, 8),
                    repeats=bench.repeats,
                    batch=BATCH,
                ).result
                agreed = compare(found["ours"], found["theirs"], {"maps": 5e-3})
            except Disagree as fault:
                raise Disagree(f"{package}, {backbone}: {fault}") from None
            except Exception as fault:
                beside[f"{package}, {backbone}"] = f"does not run: {str(fault)[-300:]}"
            else:
                said.append(f"{package}, {backbone}: {agreed}")
                parts.append(Part(f"{package}, {backbone}", "throughput", 1.0, "images/s", *found["rates"]))
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

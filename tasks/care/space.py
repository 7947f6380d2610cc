"""Checks the disk and the memory against what an experiment will take."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tasks.care.findings import Finding, State
from tasks.config import Experiment
from tasks.workers.slots import WORKER_GB, slots

PIXEL_BYTES = 1.7
"""What a pixel of an overlay takes as PNG, by measurement on photographs of faces."""

LEAST_GB = 1.0
"""Room on a disk below which it is said to be nearly full, whatever the experiment takes."""

_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Needs:
    """What an experiment takes on disk, in GB (10⁹ bytes).

    Attributes
    ----------
    decoded : float
        Decoded images, in the cache.
    features : mapping of str to float
        Frozen features by backbone, in the cache.
    artifacts : float
        Networks and overlays of all fold runs, and the champion's networks, in MLflow's artifact store.
    """

    decoded: float
    features: Mapping[str, float]
    artifacts: float

    @property
    def cache(self) -> float:
        """All that the cache would hold if it had no bound."""
        return self.decoded + sum(self.features.values())


def needs_of(experiment: Experiment, n_images: int, sizes: Mapping[str, Mapping[str, Any]]) -> Needs:
    """Estimate what an experiment takes.

    Parameters
    ----------
    experiment : Experiment
        The settings.
    n_images : int
        How many images there are.
    sizes : mapping of str to mapping
        By backbone, the fields of `tasks.training.sizes.Sizes`.
    """
    image_sizes = {int(own["image_size"]) for own in sizes.values()}
    n_folds = experiment.folds.n_splits * experiment.folds.n_repeats
    networks = [own["parameters"] * 4 * n_folds for own in sizes.values()]
    champion = max(networks, default=0) if experiment.champion.enabled else 0
    most = experiment.explanation.max_images
    explained = n_images * experiment.folds.n_repeats if most is None else min(n_images, most * n_folds)
    methods = len(experiment.explanation.methods)
    overlays = sum(explained * methods * own["image_size"] ** 2 * PIXEL_BYTES for own in sizes.values())
    return Needs(
        decoded=sum(n_images * size**2 * 3 for size in image_sizes) / 1e9,
        features={name: float(own["feature_gb"]) for name, own in sizes.items()},
        artifacts=(sum(networks) + champion + overlays) / 1e9,
    )


def check_cache_space(experiment: Experiment, needs: Needs, folder: Path, held_gb: float) -> list[Finding]:
    """Find whether the cache's disk and its bound take the decoded images and the frozen features."""
    bound = experiment.cache.max_gb
    free = free_gb(folder)
    wanted = min(needs.cache, bound) - held_gb
    said = f"decoded images {in_words(needs.decoded)}, frozen features {in_words(sum(needs.features.values()))}"
    mend = "Make room, name another disk in FOLDCAM_HOME, or keep features in half (cache.feature_dtype: float16)"
    found = [_room("space.cache", f"{said}; {folder} has {in_words(free)} free", max(wanted, 0.0), free, mend)]
    large = [name for name, size in needs.features.items() if size > bound / 2]
    if large:
        said = f"the frozen features of {', '.join(large)} would fill more than half of cache.max_gb ({bound:g} GB)"
        mend = f"Set cache.max_gb above {2 * max(needs.features.values()):.0f}, or these train from images, slower"
        found.append(Finding("space.features", "warning", said, mend))
    elif needs.cache > bound:
        said = f"the experiment's {in_words(needs.cache)} do not fit in cache.max_gb ({bound:g} GB) together"
        mend = f"Set cache.max_gb to {needs.cache:.0f} or more, or what was not used for longest is made again"
        found.append(Finding("space.features", "warning", said, mend))
    return found


def check_artifact_space(needs: Needs, folder: Path) -> list[Finding]:
    """Find whether the disk of a local artifact store takes the networks and the overlays."""
    free = free_gb(folder)
    said = f"networks and overlays about {in_words(needs.artifacts)}; {folder} has {in_words(free)} free"
    mend = "Make room (`foldcam clean`), explain fewer images (explanation.max_images), or use another store"
    return [_room("space.artifacts", said, needs.artifacts, free, mend)]


def check_free_space(folder: Path) -> list[Finding]:
    """Find whether a disk is nearly full, where no experiment says what it will take."""
    free = free_gb(folder)
    return [_room("space.cache", f"{folder} has {in_words(free)} free", 0.0, free, "Make room: `foldcam cache clear`")]


def check_memory(experiment: Experiment) -> list[Finding]:
    """Find whether the memory takes the workers that the experiment asks for."""
    n_workers, free = len(slots(experiment.runner)), free_memory_gb()
    wanted = n_workers * WORKER_GB
    said = f"{n_workers} worker{'' if n_workers == 1 else 's'} of up to {WORKER_GB:g} GB; {in_words(free)} are free"
    if wanted <= free:
        return [Finding("space.memory", "ok", said)]
    mend = f"Set runner.workers to {max(1, int(free / WORKER_GB))}, or lower training.batch_size; N-CNN takes less"
    return [Finding("space.memory", "warning", said, mend)]


def in_words(gigabytes: float) -> str:
    """Give a size such as `1.2 GB` or `35 MB`."""
    return f"{gigabytes:,.1f} GB" if gigabytes >= 1 else f"{1000 * gigabytes:,.2g} MB"


def free_gb(folder: Path) -> float:
    """Give the free disk space in GB (10⁹ bytes) where a folder is or would be made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free / 1e9


def free_memory_gb() -> float:
    """Give the memory in GB (10⁹ bytes) that can still be had, by the system and by the container's own bound."""
    memory = psutil.virtual_memory()
    free = float(memory.available)
    with suppress(OSError, ValueError):  # no container, or one without a bound
        free = min(free, int(_CGROUP.read_text()) - psutil.Process().memory_info().rss)
    return free / 1e9


def _room(code: str, said: str, wanted: float, free: float, mend: str) -> Finding:
    state: State = "fault" if wanted > free else "warning" if free - wanted < LEAST_GB else "ok"
    return Finding(code, state, said, "" if state == "ok" else mend)

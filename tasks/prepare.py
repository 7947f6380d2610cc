"""Prefect tasks before any training: images, folds, audit, decoded images."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.backbones import registry
from tasks.config import Experiment, InputError
from tasks.dataset.audit import Audit, audit
from tasks.dataset.folds import assign_folds
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.store import cache_home, decoded_images, open_store
from tasks.evaluation.metrics import METRIC_NAMES
from tasks.explanation.overlays import colour_table
from tasks.workers.events import StepEvent, publish
from tasks.workers.plan import Plan, make_plan


def check_settings(experiment: Experiment) -> None:
    """Refuse what can be refused without looking at an image.

    Raises
    ------
    InputError
        An unknown backbone, freeze point, weight source, metric or colour map, or a size that is too small.
    """
    for name in experiment.backbones:
        spec, model = registry.get(name), experiment.model_of(name)
        spec.check_size(model.size or spec.native_size)
        spec.boundary(model.freeze)
        spec.check_weights(model.weights)
    metric = experiment.evaluation.metric
    if metric not in METRIC_NAMES:
        near = get_close_matches(metric, METRIC_NAMES, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(
            f"evaluation.metric: there is no metric {metric!r}.{hint} The metrics are: {', '.join(METRIC_NAMES)}."
        )
    colour_table(experiment.explanation.colormap)


def load_plan(experiment: Experiment, *, fresh: bool = False) -> Plan:
    """Read the images and the folds and give the plan; files unchanged since the last time are not decoded again.

    Raises
    ------
    InputError
        Whatever is wrong with the settings, the images or the folds.
    """
    check_settings(experiment)
    return plan_folds(experiment, read_images(experiment, fresh=fresh))


def read_images(experiment: Experiment, *, fresh: bool = False) -> Manifest:
    """Read every image and give the manifest.

    Raises
    ------
    InputError
        The folder, its labels or an image cannot be used.
    """
    progress = _progress("reading images")
    return read_manifest(experiment.data, cache_dir=cache_home() / "manifests", fresh=fresh, progress=progress)


def plan_folds(experiment: Experiment, manifest: Manifest) -> Plan:
    """Assign the folds and give the plan.

    Raises
    ------
    InputError
        The folds cannot be made.
    """
    fold_of_row = assign_folds(manifest, experiment.folds, seed=experiment.seed)
    return make_plan(experiment, manifest, fold_of_row, cache_home())


@task(name="load", task_run_name="load images of {name}", cache_policy=NO_CACHE, persist_result=False)
def load(name: str, experiment: Experiment) -> Manifest:  # noqa: ARG001 — the name is for people
    """Read the images; those that an earlier call has read and that have not changed are taken from its notes."""
    check_settings(experiment)
    return read_images(experiment)


@task(name="assign-folds", cache_policy=NO_CACHE, persist_result=False)
def assign(experiment: Experiment, manifest: Manifest) -> Plan:
    """Cut the images into folds, fingerprint every fold run and write the tables for the workers."""
    plan = plan_folds(experiment, manifest)
    plan.write()
    return plan


@task(name="audit", cache_policy=NO_CACHE, persist_result=False)
def audit_data(manifest: Manifest, fold_of_row: np.ndarray) -> Audit:
    """Look for what would spoil the numbers."""
    return audit(manifest, fold_of_row)


@task(name="decode", task_run_name="decode images at {size} px", cache_policy=NO_CACHE, persist_result=False)
def decode(size: int, manifest: Manifest, max_gb: float) -> int:
    """Decode and resize every image once, into the store that all workers read; gives how many there are."""
    store = open_store(max_gb)
    return len(decoded_images(manifest, size, store, progress=_progress(f"decoding images at {size} px")))


def input_sizes(experiment: Experiment, backbones: list[str]) -> list[int]:
    """Give the image sizes that the backbones take, each once."""
    return sorted({experiment.model_of(name).size or registry.get(name).native_size for name in backbones})


def _progress(step: str) -> Callable[[int, int], None]:
    last = [-1]

    def report(done: int, total: int) -> None:
        share = 50 * done // max(total, 1)
        if share != last[0]:
            last[0] = share
            publish(StepEvent(step, done, total))

    return report

"""Prefect tasks before any training: images, folds, audit, decoded images."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.config import Experiment
from tasks.dataset.audit.audit import Audit, audit
from tasks.dataset.manifest import Manifest
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.store import decoded_images, open_store
from tasks.planning import check_settings, plan_folds, read_images, step_progress
from tasks.workers.plan import Plan


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
def audit_data(plan: Plan) -> Audit:
    """Look for what would spoil the numbers."""
    return audit(plan.manifest, plan.folds_of_row, plan.experiment.data)


@task(name="decode", task_run_name="decode images at {size} px", cache_policy=NO_CACHE, persist_result=False)
def decode(size: int, plan: Plan) -> int:
    """Decode and shape every image once, into the store that all workers read; gives how many there are."""
    store, shaping = open_store(plan.experiment.cache.max_gb), shaping_of(plan.experiment.data.preprocessing)
    progress = step_progress(f"decoding images at {size} px")
    return len(decoded_images(plan.manifest, size, store, shaping, progress=progress))

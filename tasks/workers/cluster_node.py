"""A node of a cluster: the experiment's plan made there from the same tables, and its own warm workers."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from pathlib import Path

from tasks.config import Experiment, InputError
from tasks.dataset.folds.assignment import read_folds
from tasks.dataset.manifest import Manifest
from tasks.dataset.sources.remote import at_hand
from tasks.dataset.store import cache_home, remote_home
from tasks.tracking.store import local_copy, open_client
from tasks.workers.cluster_job import Job
from tasks.workers.cluster_report import differences
from tasks.workers.plan import Plan, make_plan
from tasks.workers.warm import WarmWorkers

TABLES = ("manifest.parquet", "folds.csv")
"""The files that say which images there are and which fold each is in; the experiment's run has them too."""

_lock = threading.Lock()
_plans: dict[str, Plan] = {}
_workers: dict[tuple[int, bool], WarmWorkers] = {}


def plan_of(job: Job) -> Plan:
    """Give the plan of a job's experiment, made on this node once a process.

    Raises
    ------
    InputError
        This node has other packages, does not see the images or other files, or cannot reach MLflow's store.
    """
    with _lock:
        if job.plan not in _plans:
            _plans.clear()
            _plans[job.plan] = _made(job)
        return _plans[job.plan]


def workers_of(plan: Plan) -> WarmWorkers:
    """Give this process's workers, which stay warm from job to job."""
    experiment = plan.experiment
    key = (experiment.runner.threads_per_worker, experiment.deterministic)
    with _lock:
        if key not in _workers:
            _workers[key] = WarmWorkers(threads=key[0], deterministic=key[1], environment=_device)
        return _workers[key]


def _device() -> dict[str, str]:
    """Give what the engine has set aside of this node's GPUs for the work at hand."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {} if seen is None else {"CUDA_VISIBLE_DEVICES": seen}


def _made(job: Job) -> Plan:
    if told := differences(job.versions):
        raise InputError(f"The node {socket.gethostname()} {told}")
    experiment = Experiment.model_validate(job.experiment)
    root = _images(job, experiment)
    home = cache_home()
    folder = home / "plans" / job.plan[:24]
    if not all((folder / name).is_file() for name in TABLES):
        _fetch_tables(job, folder)
    manifest = Manifest.read(folder / TABLES[0], root=root)
    plan = make_plan(experiment, manifest, read_folds(folder / TABLES[1], manifest), home)
    if plan.fingerprint != job.plan:
        raise InputError(
            f"The node {socket.gethostname()} would do another experiment than the one that was started: a weight "
            "file, data.regions or the tables of its plan are others there. Give every node the same files at the same "
            f"paths, and delete {folder} on it."
        )
    return plan


def _images(job: Job, experiment: Experiment) -> Path:
    if job.data_root:
        root = Path(job.data_root)
        if not root.is_dir():
            raise InputError(
                f"data.path: the node {socket.gethostname()} has no folder {root}. Put the images where every node "
                "sees them at the same path, or give an address (s3://, https://) that each node can read."
            )
        return root
    with at_hand(experiment.data, remote_home()):
        return remote_home() / job.mirror


def _fetch_tables(job: Job, folder: Path) -> None:
    """Bring the tables from the experiment's run; each comes under its name only when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    client = open_client(job.tracking_uri)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=folder) as scratch:
        for name in TABLES:
            there = local_copy(client, job.errand.experiment_run, name, Path(scratch))
            part = Path(scratch, f"{name}.part")
            part.write_bytes(there.read_bytes())
            part.replace(folder / name)

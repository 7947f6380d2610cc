"""Who does an experiment's work: worker processes of this machine, and a cluster for the fold runs where one is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.clusters import Cluster, connected
from tasks.config import Experiment
from tasks.workers.events import StepEvent, publish
from tasks.workers.pool import WorkerPool
from tasks.workers.slots import slots
from tasks.workers.warm import WarmWorkers, Workers


@dataclass(frozen=True)
class Workforce:
    """Worker processes of this machine, and the cluster that does the fold runs, if one does.

    Attributes
    ----------
    pool : Workers
        This machine's.
    cluster : Cluster or None
        None: the fold runs are done here too.
    """

    pool: Workers
    cluster: Cluster | None = None

    @property
    def size(self) -> int:
        """How many fold runs are done at a time."""
        return self.pool.size if self.cluster is None else self.cluster.slots()


@contextmanager
def workforce(experiment: Experiment, missing: int) -> Iterator[Workforce]:
    """Start the workers that so many fold runs need, or connect to the cluster, while the block lasts.

    Raises
    ------
    InputError
        The cluster cannot be used.
    """
    runner, threads, deterministic = experiment.runner, experiment.runner.threads_per_worker, experiment.deterministic
    if not runner.on_cluster:
        with WorkerPool(slots(runner)[: max(1, missing)], threads=threads, deterministic=deterministic) as pool:
            yield Workforce(pool)
        return
    device = slots(runner.model_copy(update={"workers": 1}))[0]
    with WarmWorkers(threads=threads, deterministic=deterministic, environment=lambda: device) as warm:
        if not missing:
            yield Workforce(warm)
            return
        publish(StepEvent(f"connecting to {runner.kind.capitalize()}"))
        with connected(runner) as cluster:
            yield Workforce(warm, cluster)

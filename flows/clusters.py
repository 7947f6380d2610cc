"""Clusters that fold runs can be given to, and what must be true of one before any work is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from flows.cluster_room import cores_of
from tasks.config import InputError, Runner
from tasks.dataset.wording import counted
from tasks.workers.cluster_job import data_root_of
from tasks.workers.cluster_report import Needs, NodeReport
from tasks.workers.plan import Plan, versions

SHOWN = 5
"""How many faults of nodes are told at once."""


class Cluster(Protocol):
    """A cluster that is connected to."""

    @property
    def kind(self) -> str:
        """Name of the engine, as the experiment file has it."""

    def slots(self) -> int:
        """Give how many fold runs it can do at a time now; 0 where none fits on any node."""

    def task_runner(self) -> Any:
        """Give Prefect's task runner of it."""

    def setting_aside(self) -> AbstractContextManager[Any]:
        """Let what is submitted in the block have a fold run's share of the cluster."""

    def listening(self, receive: Callable[[dict[str, Any]], Any]) -> AbstractContextManager[str]:
        """Call `receive` with word from the nodes; gives the channel that they send it to."""

    def reports(self, needs: Needs) -> list[NodeReport]:
        """Let every node look at itself."""

    def is_done(self, future: Any) -> bool:
        """Tell whether a task that was submitted has ended, one way or another."""

    def drop(self, futures: Sequence[Any]) -> None:
        """Take back what was submitted, and end what has begun where the engine can."""


@contextmanager
def connected(runner: Runner) -> Iterator[Cluster]:
    """Connect to the cluster of the experiment file, or start one on this machine, while the block lasts.

    Raises
    ------
    InputError
        The engine is not installed, nothing answers at the address, or the cluster has no room for a fold run.
    """
    try:
        own = _connecting(runner.kind)
    except ModuleNotFoundError as fault:
        raise InputError(
            f"runner.kind: {runner.kind} needs the package {fault.name}, which is not installed here. Install it with "
            f"`pip install 'foldcam[{runner.kind}]'`, here and on every node, or set runner.kind to process."
        ) from fault
    with own(runner) as cluster:
        if cluster.slots() == 0:
            raise InputError(_no_room(runner, cluster))
        yield cluster


def _connecting(kind: str) -> Callable[[Runner], AbstractContextManager[Cluster]]:
    if kind == "ray":
        _tell_ray()
        from flows.ray_cluster import connected_ray

        return connected_ray
    from flows.dask_cluster import connected_dask

    return connected_dask


def _tell_ray() -> None:
    """Set what Ray reads from the environment when it is imported, where it is not set already."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if "RAY_AUTH_TOKEN" in os.environ or token.exists():
        # `ray start --head` asks for the token as soon as there is one, and whoever connects has to say so.
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def check_nodes(cluster: Cluster, plan: Plan, tracking_uri: str, prefect_api: str) -> None:
    """Refuse a cluster with a node that could not do this experiment's fold runs.

    Raises
    ------
    InputError
        With what is wrong on which node, and how to mend it.
    """
    servers = {"MLflow's store": tracking_uri, "Prefect's server": prefect_api}
    reports = cluster.reports(Needs(versions(), data_root_of(plan), servers))
    told = dict.fromkeys(f"The node {own.host} {fault}." for own in reports for fault in own.faults)
    if told:
        shown, more = list(told)[:SHOWN], len(told) - SHOWN
        left = f" Other nodes have {counted(more, 'more fault')}." if more > 0 else ""
        raise InputError(" ".join(shown) + left)


def _no_room(runner: Runner, cluster: Cluster) -> str:
    gpus = runner.gpus_per_fold or 0
    cores = cores_of(runner)
    wanted = f"{cores:g} core{'' if cores == 1 else 's'}"
    wanted += f" and {gpus:g} GPU{'' if gpus == 1 else 's'}" if gpus else ""
    mend = {
        "ray": "Start nodes with enough of both (`ray start --num-cpus N --num-gpus N`)",
        "dask": "Start workers with enough of both (`dask worker --nthreads N --resources GPU=N`)",
    }[cluster.kind]
    return (
        f"No node of the {cluster.kind.capitalize()} cluster has the {wanted} that a fold run is to have. {mend}, or "
        "ask for less with runner.cpus_per_fold and runner.gpus_per_fold."
    )

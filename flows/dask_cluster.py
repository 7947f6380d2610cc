"""Fold runs on a Dask cluster: its connection, its room, and word from its workers."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from math import ceil
from typing import Any

import dask
from distributed import Client, LocalCluster
from prefect_dask import DaskTaskRunner

from flows.cluster_room import check_address, cores_of, usable
from tasks.config import InputError, Runner
from tasks.dataset.parallel import usable_cores
from tasks.workers.cluster_report import Needs, NodeReport, report

GPU = "GPU"
"""The resource that workers with a GPU are started with: `dask worker --resources GPU=1`."""


class DaskCluster:
    """A Dask cluster that this process is connected to.

    Parameters
    ----------
    client : Client
        The connection.
    runner : Runner
        The settings.
    """

    kind = "dask"

    def __init__(self, client: Client, runner: Runner) -> None:
        self._client, self._runner = client, runner
        self._address = str(client.scheduler.address)
        self._gpus = runner.gpus_per_fold
        if self._gpus is None:
            self._gpus = 1.0 if any(own["resources"].get(GPU) for own in self._workers()) else 0.0

    def slots(self) -> int:
        """Give how many fold runs the workers that are there now can do, a thread for each, as Dask counts."""
        rooms = [own["nthreads"] for own in self._workers()]
        if self._gpus:
            rooms = [min(own["nthreads"], int(own["resources"].get(GPU, 0) / self._gpus)) for own in self._workers()]
        return usable(self._runner, sum(rooms))

    def task_runner(self) -> DaskTaskRunner[Any]:
        """Give Prefect's task runner for the same scheduler."""
        return DaskTaskRunner(address=self._address)

    def setting_aside(self) -> AbstractContextManager[Any]:
        """Let what is submitted in the block take a worker's GPU."""
        resources = {GPU: self._gpus} if self._gpus else {}
        how: AbstractContextManager[Any] = dask.annotate(**({"resources": resources} if resources else {}))
        return how

    @contextmanager
    def listening(self, receive: Callable[[dict[str, Any]], Any]) -> Iterator[str]:
        """Call `receive` with word from the workers; gives the channel that they send it to."""
        topic = f"foldcam-{uuid.uuid4().hex}"
        self._client.subscribe_topic(topic, lambda event: receive(dict(event[1])))
        try:
            yield f"dask:{topic}"
        finally:
            with suppress(Exception):  # the scheduler may be gone
                self._client.unsubscribe_topic(topic)

    def reports(self, needs: Needs) -> list[NodeReport]:
        """Let every worker look at itself."""
        found = self._client.run(report, needs, on_error="return")
        return [_answer(address, own) for address, own in found.items()]

    def is_done(self, future: Any) -> bool:
        """Tell whether a task that was submitted has ended, one way or another."""
        return bool(future.wrapped_future.done())

    def drop(self, futures: Sequence[Any]) -> None:
        """Take back what was submitted and has not begun; what has begun goes on to its end and does not count."""
        with suppress(Exception):  # the scheduler may be gone
            self._client.cancel([future.wrapped_future for future in futures], force=True)

    def _workers(self) -> list[dict[str, Any]]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"].values())


@contextmanager
def connected_dask(runner: Runner) -> Iterator[DaskCluster]:
    """Connect to a Dask cluster, or start one on this machine, while the block lasts.

    Raises
    ------
    InputError
        Nothing answers at the address.
    """
    logging.getLogger("distributed").setLevel(logging.ERROR)
    address = runner.address or os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not address:
        with _of_its_own(runner) as cluster, Client(cluster, set_as_default=False) as client:
            yield DaskCluster(client, runner)
        return
    check_address("dask", address)
    try:
        client = Client(address, set_as_default=False, timeout=20)
    except (OSError, TimeoutError, ValueError) as fault:
        raise InputError(
            f"runner.address: what answers at {address} is no Dask scheduler of this version ({fault}). Correct the "
            "address, or install the same versions of dask and distributed here and there."
        ) from fault
    with client:
        yield DaskCluster(client, runner)


def _of_its_own(runner: Runner) -> LocalCluster:
    wanted = usable_cores() // max(1, ceil(cores_of(runner))) if runner.workers == "auto" else runner.workers
    return LocalCluster(n_workers=max(1, int(wanted)), threads_per_worker=1, dashboard_address=None)


def _answer(address: str, found: Any) -> NodeReport:
    if isinstance(found, NodeReport):
        return found
    reason = "has no foldcam" if isinstance(found, ModuleNotFoundError) else f"cannot load foldcam ({found})"
    return NodeReport(address, (f"{reason}: install the same foldcam there, with `pip install 'foldcam[dask]'`",))

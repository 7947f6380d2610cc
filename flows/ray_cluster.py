"""Fold runs on a Ray cluster: its connection, its room, and word from its nodes."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from math import ceil
from typing import Any

import ray
import ray._private.worker as ray_worker
from prefect_ray.context import remote_options
from prefect_ray.task_runners import RayTaskRunner
from ray.exceptions import GetTimeoutError, RayError
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from flows.cluster_room import check_address, cores_of, usable
from flows.lost_nodes import LostNodes
from tasks.config import InputError, Runner
from tasks.workers.cluster_channel import NAMESPACE
from tasks.workers.cluster_report import Needs, NodeReport, report

_log = logging.getLogger(__name__)

LOST_NODES = 3
"""How often a fold run is begun again whose node was lost: that says nothing against the fold run."""

REPORT_SECONDS = 180.0
"""How long nodes may take to say what they have; the first time, they load foldcam."""


class RayCluster:
    """A Ray cluster that this process is connected to."""

    kind = "ray"

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._gpus = runner.gpus_per_fold
        if self._gpus is None:
            self._gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0

    def slots(self) -> int:
        """Give how many fold runs fit on the nodes that are there now, and are to be done at a time."""
        wanted = {"CPU": cores_of(self._runner), "GPU": self._gpus or 0.0}
        asked = {name: amount for name, amount in wanted.items() if amount}
        rooms = [min(int(node.get(name, 0) / amount) for name, amount in asked.items()) for node in _resources()]
        return usable(self._runner, sum(rooms))

    def task_runner(self) -> RayTaskRunner[Any]:
        """Give Prefect's task runner, which takes the connection that is there."""
        return RayTaskRunner()

    def setting_aside(self) -> AbstractContextManager[Any]:
        """Let what is submitted in the block have a fold run's cores and GPUs, and be begun again if a node is lost."""
        how: AbstractContextManager[Any] = remote_options(
            num_cpus=cores_of(self._runner), num_gpus=self._gpus or 0, max_retries=LOST_NODES, retry_exceptions=False
        )
        return how

    @contextmanager
    def listening(self, receive: Callable[[dict[str, Any]], Any]) -> Iterator[str]:
        """Call `receive` with word from the nodes; gives the channel that they send it to."""
        name = f"foldcam-{uuid.uuid4().hex}"
        box = Queue(actor_options={"name": name, "namespace": NAMESPACE, "num_cpus": 0, **_here()})
        done = threading.Event()
        lost = LostNodes(ray.nodes)
        listener = threading.Thread(target=_listen, args=(box, receive, done, lost.hang_up), daemon=True)
        listener.start()
        try:
            yield f"ray:{name}"
        finally:
            done.set()
            listener.join(timeout=10)
            box.shutdown(force=True)

    def reports(self, needs: Needs) -> list[NodeReport]:
        """Let every node look at itself.

        Raises
        ------
        InputError
            A node has no foldcam, or does not answer.
        """
        look = ray.remote(report)
        asked = {
            node["NodeManagerHostname"]: look.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(needs)
            for node in ray.nodes()
            if node["Alive"]
        }
        return [_answer(host, own) for host, own in asked.items()]

    def is_done(self, future: Any) -> bool:
        """Tell whether a task that was submitted has ended, one way or another."""
        return bool(ray.wait([future.wrapped_future], timeout=0, fetch_local=False)[0])

    def drop(self, futures: Sequence[Any]) -> None:
        """End what was submitted, begun or not."""
        for future in futures:
            with suppress(Exception):  # it may have ended, and its node may be gone
                ray.cancel(future.wrapped_future, force=True)


@contextmanager
def connected_ray(runner: Runner) -> Iterator[RayCluster]:
    """Connect to a Ray cluster, or start one on this machine, while the block lasts.

    Raises
    ------
    InputError
        Nothing answers at the address, or Ray cannot be started.
    """
    if ray.is_initialized():
        yield RayCluster(runner)
        return
    address = runner.address or os.environ.get("RAY_ADDRESS")
    if address and address not in ("auto", "local"):
        check_address("ray", address)
    how = {"address": address} if address not in (None, "local") or _runs_here() else _of_its_own(runner)
    ray_worker.print_to_stdstream = _logged
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **how)
    except (ConnectionError, RuntimeError, ValueError, RayError) as fault:
        first = str(fault).strip().splitlines()[0]
        raise InputError(
            f"runner.address: Ray could not be used{f' at {address}' if address else ''}: {first.rstrip('.')}. Start "
            "this command on a node of the cluster (or use ray://HOST:10001), with the cluster's token if it has one "
            "(RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH), and with the same versions of Python and Ray."
        ) from fault
    try:
        yield RayCluster(runner)
    finally:
        ray.shutdown()


def _logged(message: dict[str, Any], ignore_prefix: bool = False) -> None:  # noqa: ARG001 — called by Ray
    """Log what Ray would print to standard output, such as that a node is lost: that is for what was asked for."""
    for lines in message["lines"]:
        _log.info("Ray: %s", str(lines).strip().partition("\n")[0])


def _of_its_own(runner: Runner) -> dict[str, Any]:
    """Give how a cluster is started on this machine that ends with the experiment."""
    size = {} if runner.workers == "auto" else {"num_cpus": max(1, ceil(runner.workers * cores_of(runner)))}
    return {"address": "local", "include_dashboard": False, **size}


def _runs_here() -> bool:
    from ray._private.utils import read_ray_address

    return read_ray_address() is not None


def _resources() -> list[dict[str, float]]:
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _here() -> dict[str, Any]:
    """Keep an actor on the node that this process is connected to, without which it could do nothing either.

    With a soft wish Ray puts an actor that takes no room on any node, and it is gone with that one.
    """
    own = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(own, soft=False)}


def _listen(
    box: Any, receive: Callable[[dict[str, Any]], Any], done: threading.Event, now_and_then: Callable[[], None]
) -> None:
    while True:
        with suppress(Exception):  # Ray's head may be gone, and the fold runs say so themselves
            now_and_then()
        try:
            receive(box.get(timeout=0.5))
        except Empty:
            if done.is_set():
                return
        except RayError:
            return


def _answer(host: str, asked: Any) -> NodeReport:
    try:
        found: NodeReport = ray.get(asked, timeout=REPORT_SECONDS)
    except GetTimeoutError:
        return NodeReport(host, (f"did not answer within {REPORT_SECONDS:g} seconds: is it overloaded?",))
    except RayError as fault:
        reason = "has no foldcam" if "No module named" in str(fault) else f"cannot load foldcam ({_last_line(fault)})"
        return NodeReport(host, (f"{reason}: install the same foldcam there, with `pip install 'foldcam[ray]'`",))
    return found


def _last_line(fault: Exception) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[-1][:300]

"""All fold runs of an experiment on a cluster: given to it in the order of work, watched, and answered for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import Flow
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from flows.clusters import Cluster
from tasks.cluster_fold import may_try_on_node, prepare_on_node, run_fold_on_node
from tasks.comparison.results import FoldResult
from tasks.config import InputError
from tasks.fold import Session
from tasks.planning import order_of_work
from tasks.survey import Survey
from tasks.tracking.ledger import Known
from tasks.tracking.node_ledger import Errand, end_left
from tasks.tracking.owners import this_process
from tasks.workers.cluster_channel import receive
from tasks.workers.cluster_job import Job, make_job
from tasks.workers.events import FoldEvent, StepEvent, publish
from tasks.workers.failures import kind_of
from tasks.workers.plan import Cell

LOOK_SECONDS = 0.5
"""How often it is looked whether the cluster has room for more, and whether it has grown."""

AHEAD = 8
"""One fold run in so many waits in the engine itself, so that a place that becomes free is filled at once and a cluster
that grows by itself sees that it should. The others wait here: Ray begins what waits in it in no particular order."""


class ClusterFolds:
    """Gives fold runs to a cluster.

    Parameters
    ----------
    session : Session
        The experiment's plan and record.
    cluster : Cluster
        Where they are done.
    channel : str
        Where the nodes' word of them goes.
    known : Known
        What the record has already.
    """

    def __init__(self, session: Session, cluster: Cluster, channel: str, known: Known) -> None:
        self._session, self._cluster, self._channel = session, cluster, channel
        self._before = {fingerprint: record.run_id for fingerprint, record in known.folds.items()}
        self._given: dict[Cell, tuple[Job, PrefectFuture[Any]]] = {}
        self._ended: dict[Cell, FoldResult] = {}

    def do(self, cells: Sequence[Cell]) -> list[FoldResult]:
        """Do all fold runs and give how they ended, in the order of `cells`.

        Raises
        ------
        InputError
            A backbone cannot be prepared: nothing would be trained with it.
        """
        try:
            for backbone in dict.fromkeys(backbone for backbone, _ in cells):
                self._give((backbone, -1))
            publish(StepEvent("fold runs"))
            for cell in cells:
                self._prepared(cell[0])
                self._wait_for_room()
                self._give(cell)
            while self._running():
                time.sleep(LOOK_SECONDS)
        except BaseException as fault:
            self._stop(str(fault) or type(fault).__name__)
            raise
        return [self._ended[cell] for cell in cells]

    def _give(self, cell: Cell) -> None:
        session = self._session
        ledger, settings = session.ledger, session.plan.experiment.runner
        errand = Errand(
            job=uuid.uuid4().hex,
            experiment_run=ledger.experiment_run_id,
            backbone_run=ledger.backbone_run(cell[0]),
            backbone=cell[0],
            owner=this_process(),
            done_before=self._before.get(session.plan.fingerprints.get(cell, ""), ""),
        )
        job = make_job(session.plan, cell, ledger.tracking_uri, errand, self._channel)
        with self._cluster.setting_aside(), light_context():
            if cell[1] < 0:
                future: PrefectFuture[Any] = prepare_on_node.submit(job, cell[0])
            else:
                run = run_fold_on_node.with_options(
                    retries=settings.retries, retry_condition_fn=may_try_on_node, retry_delay_seconds=0
                )
                future = run.submit(job, *cell)
        self._given[cell] = (job, future)

    def _prepared(self, backbone: str) -> None:
        """Wait until a backbone is prepared; what else went wrong with it is for its fold runs to say."""
        _, future = self._given[backbone, -1]
        fault = outcome(future)
        if isinstance(fault, InputError):
            raise fault

    def _wait_for_room(self) -> None:
        while len(self._running()) >= self._most():
            time.sleep(LOOK_SECONDS)

    def _most(self) -> int:
        slots = max(1, self._cluster.slots())
        fixed = self._session.plan.experiment.runner.workers != "auto"
        return slots if fixed else slots + max(1, slots // AHEAD)

    def _running(self) -> list[Cell]:
        """Take the results of what has ended since the last time, and give what has not."""
        for cell, (job, future) in self._given.items():
            if cell not in self._ended and cell[1] >= 0 and self._cluster.is_done(future):
                self._ended[cell] = self._result(cell, job, future)
        return [cell for cell in self._given if cell not in self._ended and cell[1] >= 0]

    def _result(self, cell: Cell, job: Job, future: PrefectFuture[Any]) -> FoldResult:
        found = outcome(future)
        metric = self._session.plan.experiment.metric
        if isinstance(found, FoldResult):
            self._session.ledger.count_completed()
            value = found.metrics.get(metric)
            publish(FoldEvent(*cell, found.status, metric=metric, value=value, seconds=found.seconds))
            return found
        reason = str(found) or type(found).__name__
        end_left(self._session.ledger, [job.errand.job], reason)
        publish(FoldEvent(*cell, "failed", message=reason, kind=kind_of(found)))
        return FoldResult(*cell, "failed", error=reason)

    def _stop(self, reason: str) -> None:
        left = [own for cell, own in self._given.items() if cell not in self._ended]
        self._cluster.drop([future for _, future in left])
        end_left(self._session.ledger, [job.errand.job for job, _ in left], f"stopped: {reason}")


@contextmanager
def light_context() -> Iterator[None]:
    """Let what is submitted in the block take the flow run with it, but not the flow's own function and what it names.

    Prefect sends the flow itself along with each task, by value; its tasks need no more of it than its name.
    """
    context = FlowRunContext.get()
    if context is None or context.flow is None:
        yield
        return
    with context.model_copy(update={"flow": Flow(_nothing, name=context.flow.name)}):
        yield


def _nothing() -> None:
    """Stand for a flow's function on the nodes."""


def outcome(future: PrefectFuture[Any]) -> Any:
    """Give what a task gave, or what it failed of; engines raise what is their own."""
    try:
        future.wait()
        return future.result(raise_on_failure=False)
    except Exception as fault:  # a node that was lost too often, or the engine's own end
        return fault


def fold_runs_on(cluster: Cluster, session: Session, found: Survey) -> list[FoldResult]:
    """Do the fold runs that are missing on a cluster, the order and the word of them as on this machine.

    Raises
    ------
    InputError
        A backbone cannot be prepared.
    """
    cells = order_of_work(session.plan.experiment, found.missing, cluster.slots())
    with cluster.listening(receive) as channel:
        return ClusterFolds(session, cluster, channel, found.known).do(cells)

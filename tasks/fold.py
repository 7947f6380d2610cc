"""Prefect tasks of the fold runs: each leases a worker process, watches it, and answers for its MLflow run."""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import task_run

from tasks.comparison.colours import run_colour
from tasks.comparison.inputs import fold_images
from tasks.comparison.results import FoldResult
from tasks.config import InputError
from tasks.tracking.ledger import Ledger
from tasks.workers.events import FoldEvent, FoldState, StepEvent, publish
from tasks.workers.plan import Cell, Plan
from tasks.workers.pool import JobFailed, PoolClosed, WorkerPool


class Session:
    """What the fold runs of one experiment share: its plan, its runs in MLflow, its workers."""

    def __init__(self, plan: Plan, ledger: Ledger, pool: WorkerPool) -> None:
        self.plan, self.ledger, self.pool = plan, ledger, pool

    @property
    def timeout(self) -> float | None:
        """The longest that a fold run may take, in seconds."""
        minutes = self.plan.experiment.runner.timeout_minutes
        return None if minutes is None else minutes * 60


def may_try_again(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failure could end otherwise the next time: not so for a NaN loss or a bad setting."""
    fault = state.result(raise_on_failure=False)
    return not (isinstance(fault, JobFailed) and fault.final)


@task(name="prepare-backbone", task_run_name="prepare {backbone}", cache_policy=NO_CACHE, persist_result=False)
def prepare_backbone(session: Session, backbone: str) -> int:
    """Build a backbone once, load its weights and compute its frozen features; gives the images that were kept.

    Raises
    ------
    InputError
        The backbone's weights or settings cannot be used: nothing would be trained with them.
    """

    def report(event: dict[str, Any]) -> None:
        publish(StepEvent(f"frozen features of {backbone}", event.get("done"), event.get("total")))

    try:
        outcome = session.pool.do(session.plan.order("features", (backbone, -1)), report)
    except JobFailed as fault:
        if fault.final and not session.pool.closed:
            raise InputError(str(fault)) from None
        raise
    error = outcome.get("features_error")
    said = f"; rounding error {error}" if error else ""
    get_run_logger().info("%s trains from %s%s", backbone, outcome["trains_from"], said)
    return int(outcome["images"])


@task(name="run-fold", task_run_name="run-fold {backbone}/{fold}", cache_policy=NO_CACHE, persist_result=False)
def run_fold(session: Session, backbone: str, fold: int) -> FoldResult:
    """Do one fold run in a worker process and end its MLflow run truthfully.

    Raises
    ------
    JobFailed
        It failed; the reason stands in its MLflow run too.
    """
    if session.pool.closed:
        raise PoolClosed
    plan, ledger = session.plan, session.ledger
    cell = (backbone, fold)
    run_id = ledger.open_fold(backbone, fold, plan.fingerprints[cell], plan.manifest.digest)
    log = get_run_logger()

    def relay(event: dict[str, Any]) -> None:
        publish(FoldEvent(backbone, fold, event.pop("state"), **_known_fields(event)))
        if event.get("epoch"):
            said = (event.get(name) for name in ("epoch", "epochs", "metric", "value"))
            log.debug("epoch %s of %s: validation %s %s", *said)

    try:
        ledger.writer(run_id).write([*fold_images(plan, fold), run_colour(backbone)])
        order = plan.order("fold", cell, ledger.tracking_uri, run_id)
        outcome = session.pool.do(order, relay, timeout=session.timeout)
        ledger.end(run_id, "completed")
    except BaseException as fault:
        reason = str(fault) or type(fault).__name__
        ledger.end(run_id, "failed", reason)
        _tell_failure(session, cell, fault, reason)
        raise
    metric = plan.experiment.metric
    publish(FoldEvent(backbone, fold, "completed", metric=metric, value=outcome["metrics"].get(metric)))
    return FoldResult(
        backbone, fold, "completed", run_id, seconds=outcome["seconds"]["total"], metrics=outcome["metrics"]
    )


def _known_fields(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("epoch", "epochs", "metric", "value") if name in event}


def _tell_failure(session: Session, cell: Cell, fault: BaseException, reason: str) -> None:
    tries_left = int(task_run.run_count or 1) <= session.plan.experiment.runner.retries
    hopeless = session.pool.closed or not isinstance(fault, Exception) or (isinstance(fault, JobFailed) and fault.final)
    again = tries_left and not hopeless
    state: FoldState = "retrying" if again else "failed"
    get_run_logger().warning("%s/%s %s: %s", *cell, state, reason)
    publish(FoldEvent(*cell, state, message=reason))

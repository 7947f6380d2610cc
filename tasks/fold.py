"""Prefect tasks of the fold runs: each leases a worker process, watches it, and answers for its MLflow run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import task_run

from tasks.comparison.colours import run_colour
from tasks.comparison.inputs import fold_images
from tasks.comparison.results import FoldResult
from tasks.config import Experiment, InputError
from tasks.survey import reused
from tasks.tracking.ledger import Ledger
from tasks.tracking.records import Tags
from tasks.tracking.runs import SMALLER_BATCH
from tasks.workers.claims import claimed
from tasks.workers.events import FROM_WORKERS, FoldEvent, FoldState, StepEvent, publish
from tasks.workers.failures import kind_of
from tasks.workers.log_context import told
from tasks.workers.order import with_batch_size
from tasks.workers.plan import Cell, Plan
from tasks.workers.pool import JobFailed, OutOfMemory, PoolClosed
from tasks.workers.warm import Workers


class Session:
    """What the fold runs of one experiment share: its plan, its runs in MLflow, its workers."""

    def __init__(self, plan: Plan, ledger: Ledger, pool: Workers) -> None:
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

    One that another experiment on this machine is just doing is waited for, and reused.

    Raises
    ------
    JobFailed
        It failed; the reason stands in its MLflow run too.
    """
    if session.pool.closed:
        raise PoolClosed
    plan, ledger, cell = session.plan, session.ledger, (backbone, fold)
    own = (ledger.tracking_uri, ledger.runs.experiment_id, plan.fingerprints[cell])
    with claimed(plan.cache_folder, "fold", *own, stopped=lambda: session.pool.closed):
        known = ledger.done_meanwhile(plan.fingerprints[cell])
        if known is None:
            return _tried(session, cell)
    metric = plan.experiment.metric
    publish(FoldEvent(backbone, fold, "reused", metric=metric, value=known.metrics.get(metric)))
    return reused(known, cell)


def _tried(session: Session, cell: Cell) -> FoldResult:
    """Do a fold run, again with smaller batches where memory does not suffice and the settings want that."""
    plan, ledger, (backbone, fold) = session.plan, session.ledger, cell
    batch_size: int | None = None
    while True:
        run_id = ledger.open_fold(backbone, fold, plan.fingerprints[cell], plan.manifest.digest)
        try:
            with told(backbone=backbone, fold=fold, run_id=run_id):
                return _done(session, cell, run_id, batch_size)
        except OutOfMemory:
            batch_size = _smaller(plan.experiment, backbone, batch_size)
            if batch_size is None:
                raise


def _smaller(experiment: Experiment, backbone: str, batch_size: int | None) -> int | None:
    """Give half the batch size that memory did not suffice for, where the settings want that and it is above 1."""
    half = (batch_size or experiment.training_of(backbone).batch_size) // 2
    return half if half and experiment.runner.out_of_memory == "halve_batch" else None


def _done(session: Session, cell: Cell, run_id: str, batch_size: int | None) -> FoldResult:
    """Do the fold run whose MLflow run is open, and end that truthfully.

    `batch_size` is another one than the settings', after it ran out of memory with that.
    """
    plan, ledger, (backbone, fold) = session.plan, session.ledger, cell
    log = get_run_logger()

    def relay(event: dict[str, Any]) -> None:
        publish(FoldEvent(backbone, fold, event.pop("state"), **_known_fields(event)))
        if event.get("epoch"):
            said = (event.get(name) for name in ("epoch", "epochs", "metric", "value"))
            log.debug("epoch %s of %s: validation %s %s", *said)

    try:
        ledger.writer(run_id).write([*fold_images(plan, fold), run_colour(backbone)])
        order = plan.order("fold", cell, ledger.tracking_uri, run_id, {"run": ledger.head(run_id)})
        if batch_size is not None:
            order = with_batch_size(order, batch_size)
            ledger.writer(run_id).write([Tags({SMALLER_BATCH: str(batch_size)})])
        outcome = session.pool.do(order, relay, timeout=session.timeout)
        ledger.end(run_id, "completed")
        plan.forget_fit(cell)
    except BaseException as fault:
        reason = str(fault) or type(fault).__name__
        ledger.end(run_id, "failed", reason)
        _tell_failure(session, cell, fault, reason, batch_size)
        raise
    if epoch := outcome["resumed_from_epoch"]:
        log.info("%s/%s went on after epoch %s, where an earlier try was ended", backbone, fold, epoch)
    metric = plan.experiment.metric
    seconds, value = outcome["seconds"]["total"], outcome["metrics"].get(metric)
    publish(FoldEvent(backbone, fold, "completed", metric=metric, value=value, seconds=seconds))
    return FoldResult(backbone, fold, "completed", run_id, seconds=seconds, metrics=outcome["metrics"])


def deliver_folds(ledger: Ledger, folds: Sequence[FoldResult]) -> list[FoldResult]:
    """See to it that what fold runs have logged is in MLflow, where it is compared; give them by MLflow's ids.

    Raises
    ------
    Unfinished
        The tracking server cannot be reached: what waits is kept on disk.
    """
    ledger.deliver()
    return [fold if fold.run_id is None else replace(fold, run_id=ledger.settled(fold.run_id)) for fold in folds]


def _known_fields(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in FROM_WORKERS if name in event}


def _tell_failure(session: Session, cell: Cell, fault: BaseException, reason: str, batch_size: int | None) -> None:
    tries_left = int(task_run.run_count or 1) <= session.plan.experiment.runner.retries
    hopeless = session.pool.closed or not isinstance(fault, Exception) or (isinstance(fault, JobFailed) and fault.final)
    smaller = _smaller(session.plan.experiment, cell[0], batch_size) if isinstance(fault, OutOfMemory) else None
    if smaller is not None:
        reason = f"{reason}; it is tried again with a batch size of {smaller}"
    again = (tries_left or smaller is not None) and not hopeless
    state: FoldState = "retrying" if again else "failed"
    get_run_logger().warning("%s/%s %s: %s", *cell, state, reason)
    publish(FoldEvent(*cell, state, message=reason, kind=kind_of(fault)))

"""The Prefect task that measures what a backbone costs, once its fold runs are done."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.comparison.costs import MEASURED, Cost, cost_of_folds
from tasks.comparison.results import FoldResult
from tasks.fold import Session
from tasks.tracking.records import Metrics, Tags
from tasks.tracking.runs import DEVICE, MACHINE, CostRecord
from tasks.workers.machine import machine
from tasks.workers.pool import JobFailed

LIMIT = 600.0
"""Seconds that measuring one backbone may take."""


@task(name="measure-cost", task_run_name="measure cost of {backbone}", cache_policy=NO_CACHE, persist_result=False)
def measure_cost(session: Session, backbone: str, folds: Sequence[FoldResult], *, fresh: bool) -> Cost:
    """Measure what a backbone costs and log it to its run; what cannot be measured is left out.

    What the record has of this backbone on this machine is taken from there, unless `fresh`.

    Raises
    ------
    PoolClosed
        The experiment was stopped.
    """
    plan, ledger, here = session.plan, session.ledger, machine()
    finished = [fold.run_id for fold in folds if fold.status != "failed" and fold.run_id is not None]
    found = cost_of_folds([ledger.client.get_run(run_id).data.metrics for run_id in finished])
    known = None if fresh else ledger.runs.recorded_cost(plan.backbone_fingerprint(backbone), here)
    measured = known if known is not None else _measured(session, backbone)
    tags = {}
    if measured is not None:
        found |= {name: measured.figures[name] for name in MEASURED if name in measured.figures}
        tags = {MACHINE: here, DEVICE: measured.device}
    own = {f"cost/{name}": value for name, value in found.items()}
    ledger.writer(ledger.backbone_run(backbone)).write([Metrics(own), Tags(tags)])
    return Cost(found, here, measured.device if measured is not None else "")


def _measured(session: Session, backbone: str) -> CostRecord | None:
    """Let a worker measure it; None, and a warning, where it cannot."""
    try:
        outcome = session.pool.do(session.plan.order("cost", (backbone, -1)), lambda _: None, timeout=LIMIT)
    except JobFailed as fault:
        if session.pool.closed:
            raise
        get_run_logger().warning("The cost of %s was not measured: %s", backbone, fault)
        return None
    return CostRecord(outcome["figures"], outcome["device"])

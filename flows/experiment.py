"""The experiment as a Prefect flow, with its workers and, where none is set, a Prefect server of its own."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import allow_failure

from flows.clusters import Cluster, check_nodes
from flows.desk import Desk, result_on
from flows.outcomes import state_of, tell_of_champion, untagged_tasks
from flows.runners import prefect_server
from flows.workforce import Workforce
from tasks.champion import crown
from tasks.compare import by_backbone, compare_backbone, compare_backbones, conclude, open_runs
from tasks.comparison.costs import Cost
from tasks.comparison.results import ExperimentResult, FoldResult
from tasks.config import Experiment, InputError
from tasks.cost import measure_cost
from tasks.fold import Session, deliver_folds, may_try_again, prepare_backbone, run_fold
from tasks.planning import input_sizes, order_of_work
from tasks.prepare import assign, audit_data, decode, load
from tasks.publish import publish_outcome
from tasks.survey import Request, Survey, reused_folds, survey
from tasks.tracking.ledger import Ledger
from tasks.tracking.store import tracking_uri
from tasks.workers.clock import Clock
from tasks.workers.events import StepEvent, publish
from tasks.workers.plan import Cell, Plan


@dataclass
class _Desk(Desk[ExperimentResult]):
    """What the flow run needs beside its parameters, and what it leaves for its caller."""

    work: Workforce


_desk: ContextVar[_Desk] = ContextVar("desk")


def run_experiment(experiment: Experiment, request: Request, work: Workforce) -> ExperimentResult:
    """Run the flow with some workers, or a cluster, and give what it found.

    Raises
    ------
    InputError
        The settings, the data, the weights or a server cannot be used.
    """
    with prefect_server():
        desk = _Desk(work)
        token = _desk.set(desk)
        try:
            own = cross_validate_flow.with_options(task_runner=_task_runner(work))
            return result_on(desk, own, experiment.name, experiment, request)
        finally:
            _desk.reset(token)


def _task_runner(work: Workforce) -> Any:
    return ThreadPoolTaskRunner(max_workers=work.size) if work.cluster is None else work.cluster.task_runner()


@flow(name="cross-validate", flow_run_name="{name}", persist_result=False)
def cross_validate_flow(name: str, experiment: Experiment, request: Request) -> State[Any]:
    """Load, audit, cut into folds, train and explain every fold run, compare, report."""
    with untagged_tasks():
        return _steps(name, experiment, request)


def _steps(name: str, experiment: Experiment, request: Request) -> State[Any]:
    clock, desk = Clock(), _desk.get()
    with clock.step("load"):
        manifest = load(name, experiment)
        plan = assign(experiment, manifest)
        audited = audit_data(plan)
    ledger = Ledger(tracking_uri(), experiment.name)
    found = survey(plan, request, ledger)
    cluster = desk.work.cluster
    if cluster is not None:
        check_nodes(cluster, plan, ledger.tracking_uri, str(PREFECT_API_URL.value()))
    try:
        session = Session(plan, ledger, desk.work.pool)
        open_runs(session, found, audited)
        for cell in found.missing if request.fresh else ():
            plan.forget_fit(cell)
        with clock.step("decode"):
            if cluster is None:
                _decode(plan, found)
        with clock.step("fold runs"):
            folds = _do_folds(session, found) if cluster is None else _do_folds_on(cluster, session, found)
            folds = deliver_folds(ledger, folds)
        with clock.step("cost"):
            costs = _measure_costs(session, folds, fresh=request.fresh)
        with clock.step("compare"):
            publish(StepEvent("comparing"))
            compared = {own: compare_backbone(session, own, done) for own, done in by_backbone(plan, folds).items()}
            told = compare_backbones(session, compared, costs, clock.total())
            results = {name: own.result for name, own in compared.items()}
            publish_outcome(session, results)
        with clock.step("champion"):
            tell_of_champion(crown(session, told.evidence, told.sections, told.warnings), name)
        result = conclude(session, found, results, told.order, clock.seconds | {"total": clock.total()})
    except BaseException as fault:
        desk.fault = fault
        desk.work.pool.close()
        ledger.end_open(f"stopped: {str(fault) or type(fault).__name__}")
        raise
    desk.result = result
    return state_of(result)


def _decode(plan: Plan, found: Survey) -> None:
    backbones = sorted({backbone for backbone, _ in found.missing})
    for size in input_sizes(plan.experiment, backbones):
        decode(size, plan)


def _do_folds(session: Session, found: Survey) -> list[FoldResult]:
    """Submit the backbones' preparation and then all fold runs; wait for every one, whatever becomes of the others."""
    settings = session.plan.experiment.runner
    run = run_fold.with_options(retries=settings.retries, retry_condition_fn=may_try_again)
    cells = order_of_work(session.plan.experiment, found.missing, session.pool.size)
    prepared = {backbone: prepare_backbone.submit(session, backbone) for backbone in dict.fromkeys(b for b, _ in cells)}
    running = {
        (backbone, fold): run.submit(
            session, backbone, fold, wait_for=[allow_failure(prepared[backbone])], return_state=False
        )
        for backbone, fold in cells
    }
    for future in prepared.values():
        fault = future.result(raise_on_failure=False)
        if isinstance(fault, InputError):
            session.pool.close()
            wait([*prepared.values(), *running.values()])
            raise fault
    publish(StepEvent("fold runs"))
    done = [_result(future, cell) for cell, future in running.items()]
    return [*reused_folds(session.plan, found).values(), *done]


def _do_folds_on(cluster: Cluster, session: Session, found: Survey) -> list[FoldResult]:
    from flows.cluster_folds import fold_runs_on

    done = fold_runs_on(cluster, session, found)
    return [*reused_folds(session.plan, found).values(), *done]


def _measure_costs(session: Session, folds: list[FoldResult], *, fresh: bool) -> dict[str, Cost]:
    """Measure the backbones that have finished fold runs one after the other, when nothing else of ours runs."""
    if not session.plan.experiment.comparison.cost:
        return {}
    publish(StepEvent("measuring speed"))
    finished = by_backbone(session.plan, [fold for fold in folds if fold.status != "failed"])
    return {name: measure_cost(session, name, own, fresh=fresh) for name, own in finished.items()}


def _result(future: PrefectFuture[FoldResult], cell: Cell) -> FoldResult:
    outcome = future.result(raise_on_failure=False)
    if isinstance(outcome, FoldResult):
        return outcome
    return FoldResult(*cell, "failed", error=str(outcome) or type(outcome).__name__)

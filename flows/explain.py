"""Photographs without labels: every backbone as its weights left it, its likeliest classes explained."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.alone import done_alone
from flows.desk import Desk, result_on
from flows.outcomes import state_of, untagged_tasks
from flows.runners import prefect_server
from tasks.comparison.photographs import ExplainedBackbone, PhotographsResult
from tasks.config import Experiment, InputError
from tasks.experiment_file import read_experiment
from tasks.explain import (
    Request,
    Session,
    compare_photographs,
    conclude,
    explain_backbone,
    open_experiment,
    result_of,
    survey_photographs,
)
from tasks.fold import may_try_again
from tasks.planning import load_photographs
from tasks.tracking.ledger import Ledger
from tasks.tracking.store import tracking_uri
from tasks.workers.clock import Clock
from tasks.workers.photograph_plan import PhotographPlan
from tasks.workers.pool import JobFailed, WorkerPool
from tasks.workers.slots import slots


@dataclass
class _Desk(Desk[PhotographsResult]):
    """What the flow run needs beside its parameters, and what it leaves for its caller."""

    session: Session
    pool: WorkerPool


_desk: ContextVar[_Desk] = ContextVar("desk")


def explain_photographs(
    experiment: Experiment | str | Path, *, backbones: Sequence[str] | None = None, fresh: bool = False
) -> PhotographsResult:
    """Explain photographs without labels by networks as their weights left them; what is done already is reused.

    Parameters
    ----------
    experiment : Experiment, str or Path
        The settings, with `data.labels.kind: none`, or the experiment file.
    backbones : sequence of str or None
        Do only these; None: all.
    fresh : bool
        Do again what is done already.

    Returns
    -------
    PhotographsResult
        The fields of `foldcam run --json`, and a data frame of predictions.

    Raises
    ------
    InputError
        The settings, the photographs, the weights or a server cannot be used.
    """
    if not isinstance(experiment, Experiment):
        experiment = read_experiment(Path(experiment))
    if experiment.data.labels.kind != "none":
        raise InputError(
            "The images of this experiment have labels (data.labels.kind is not none): `flows.cross_validate` is for "
            "these."
        )
    request = Request(None if backbones is None else tuple(backbones), fresh)
    return done_alone(
        experiment.name, lambda: load_photographs(experiment, fresh=fresh), lambda plan: _done(plan, request)
    )


def _done(plan: PhotographPlan, request: Request) -> PhotographsResult:
    experiment = plan.experiment
    ledger = Ledger(tracking_uri(), experiment.name)
    ledger.deliver_left()
    session = survey_photographs(plan, request, ledger)
    if not session.missing:
        return result_of(session, {}, {})
    places = slots(experiment.runner)[: len(session.missing)]
    threads = experiment.runner.threads_per_worker
    with (
        WorkerPool(places, threads=threads, deterministic=experiment.deterministic) as pool,
        prefect_server(),
    ):
        desk = _Desk(session, pool)
        token = _desk.set(desk)
        try:
            runner: Any = ThreadPoolTaskRunner(max_workers=pool.size)
            return result_on(desk, explain_flow.with_options(task_runner=runner), experiment.name)
        finally:
            _desk.reset(token)


@flow(name="explain", flow_run_name="{name}", persist_result=False)
def explain_flow(name: str) -> State[Any]:  # noqa: ARG001 — the run's name
    """Explain the photographs by every backbone, then bring the backbones together."""
    with untagged_tasks():
        return _steps(_desk.get())


def _steps(desk: _Desk) -> State[Any]:
    clock, session = Clock(), desk.session
    try:
        open_experiment(session)
        with clock.step("explain"):
            failed = _explain_all(session, desk.pool)
        seconds = clock.seconds | {"total": clock.total()}
        compare_photographs(session, seconds)
        conclude(session, failed)
    except BaseException as fault:
        desk.fault = fault
        desk.pool.close()
        session.ledger.end_open(f"stopped: {str(fault) or type(fault).__name__}")
        raise
    desk.result = result_of(session, failed, seconds)
    return state_of(desk.result)


def _explain_all(session: Session, pool: WorkerPool) -> dict[str, ExplainedBackbone]:
    """Submit what is missing and wait for all of it; give the backbones that failed, by name."""
    settings = session.plan.experiment.runner
    own = explain_backbone.with_options(retries=settings.retries, retry_condition_fn=may_try_again)
    running = {name: own.submit(session, pool, name, return_state=False) for name in session.missing}
    failed: dict[str, ExplainedBackbone] = {}
    for name, future in running.items():
        outcome = future.result(raise_on_failure=False)
        if isinstance(outcome, ExplainedBackbone):
            session.done[name] = outcome
        elif isinstance(outcome, JobFailed) and outcome.final and not pool.closed:
            pool.close()
            wait(list(running.values()))
            raise InputError(str(outcome))
        else:
            reason = str(outcome) or type(outcome).__name__
            failed[name] = ExplainedBackbone(name, session.opened.get(name), "failed", reason)
    return failed

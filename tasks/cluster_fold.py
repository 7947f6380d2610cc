"""Prefect tasks of the fold runs on a cluster: the engine starts them on a node, and on another one if that is lost."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from tasks.comparison.results import FoldResult
from tasks.config import InputError, Unfinished
from tasks.fold import Session, deliver_folds, may_try_again, prepare_backbone, run_fold
from tasks.tracking.node_ledger import CUT_SHORT, NodeLedger, Superseded
from tasks.workers.cluster_channel import telling
from tasks.workers.cluster_job import Job
from tasks.workers.cluster_node import plan_of, workers_of
from tasks.workers.events import FoldEvent, publish


def may_try_on_node(given: Any, run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failure could end otherwise the next time: not so for one that another node does by now."""
    fault = state.result(raise_on_failure=False)
    return may_try_again(given, run, state) and not isinstance(fault, (InputError, Superseded, Unfinished))


@task(name="prepare-backbone", task_run_name="prepare {backbone}", cache_policy=NO_CACHE, persist_result=False)
def prepare_on_node(job: Job, backbone: str) -> int:
    """Build a backbone on a node, load its weights and compute its frozen features; gives the images that were kept.

    Raises
    ------
    InputError
        The backbone's weights or settings, or the node, cannot be used.
    """
    with telling(job.channel, (backbone, job.fold)):
        return prepare_backbone.fn(_session(job)[0], backbone)


@task(name="run-fold", task_run_name="run-fold {backbone}/{fold}", cache_policy=NO_CACHE, persist_result=False)
def run_fold_on_node(job: Job, backbone: str, fold: int) -> FoldResult:
    """Do one fold run on a node and end its MLflow run truthfully, and first that of a node that was lost with it.

    Raises
    ------
    JobFailed
        It failed; the reason stands in its MLflow run too.
    InputError
        The node cannot be used.
    Unfinished
        MLflow cannot be reached from the node; what it would have logged waits there.
    Superseded
        This node was taken for lost, and another one does the fold run.
    """
    with telling(job.channel, (backbone, fold)):
        session, ledger = _session(job)
        done = ledger.take_over(session.plan.fingerprints[backbone, fold])
        if ledger.taken_over:
            publish(FoldEvent(backbone, fold, "retrying", message=CUT_SHORT, kind="killed"))
        if done is None:
            [result] = deliver_folds(ledger, [run_fold.fn(session, backbone, fold)])
            return result
        return FoldResult(backbone, fold, "completed", done.run_id, seconds=done.seconds, metrics=done.metrics)


def _session(job: Job) -> tuple[Session, NodeLedger]:
    plan, ledger = plan_of(job), NodeLedger(job.tracking_uri, job.name, job.errand)
    return Session(plan, ledger, workers_of(plan)), ledger

"""Photographs without labels: what is done already, and Prefect tasks that explain and compare the rest."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.comparison.backbone import Fetch
from tasks.comparison.photographs import ExplainedBackbone, PhotographsResult, closing_content, opening_content
from tasks.survey import check_backbones
from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.runs import Status
from tasks.tracking.store import local_copy
from tasks.workers.events import StepEvent, publish
from tasks.workers.photograph_plan import PhotographPlan
from tasks.workers.pool import PoolClosed, WorkerPool


@dataclass(frozen=True)
class Request:
    """Which backbones are asked for, and whether what is done already is done again."""

    backbones: tuple[str, ...] | None
    fresh: bool


@dataclass
class Session:
    """What the runs of one experiment on photographs share, and what is left to do.

    Attributes
    ----------
    plan : PhotographPlan
        The settings and the photographs.
    ledger : Ledger
        Its runs in MLflow.
    known : str or None
        The run of this very experiment that the record has.
    done : dict of str to ExplainedBackbone
        Backbones with a result, by name.
    missing : list of str
        Backbones that are asked for and have none.
    opened : dict of str to str
        MLflow runs that were begun for these, by backbone.
    """

    plan: PhotographPlan
    ledger: Ledger
    known: str | None
    done: dict[str, ExplainedBackbone]
    missing: list[str]
    opened: dict[str, str] = field(default_factory=dict)

    @property
    def fetch(self) -> Fetch:
        """What finds the runs' artifacts: where they lie, or copies in the cache when the store is remote."""
        folder = self.plan.cache_folder / "artifacts"
        return lambda run_id, artifact: local_copy(self.ledger.client, run_id, artifact, folder)


def survey_photographs(plan: PhotographPlan, request: Request, ledger: Ledger) -> Session:
    """Look up in the record what is done already.

    Raises
    ------
    InputError
        A backbone is asked for that the experiment does not have.
    """
    check_backbones(plan.experiment, request.backbones)
    known = ledger.runs.find("experiment", plan.fingerprint)
    wanted = [name for name in plan.experiment.backbones if request.backbones is None or name in request.backbones]
    found = {} if known is None else ledger.runs.completed_backbones(known)
    again = set(wanted) if request.fresh else set()
    done = {
        name: ExplainedBackbone(name, found[name].run_id, "reused")
        for name in plan.experiment.backbones
        if name in found and name not in again
    }
    return Session(plan, ledger, known, done, [name for name in wanted if name not in done])


def open_experiment(session: Session) -> None:
    """Start, or go on with, the experiment's run in MLflow."""
    plan, ledger = session.plan, session.ledger
    tags = {"foldcam.fingerprint": plan.fingerprint, "foldcam.data_digest": plan.photographs.digest}
    run_id = ledger.open_experiment(Known(session.known, {}), plan.experiment.name, tags)
    if not ledger.resumed:
        with tempfile.TemporaryDirectory(prefix="foldcam-open-") as scratch:
            ledger.writer(run_id).write(opening_content(plan, Path(scratch)))


@task(name="explain-photographs", task_run_name="explain by {backbone}", cache_policy=NO_CACHE, persist_result=False)
def explain_backbone(session: Session, pool: WorkerPool, backbone: str) -> ExplainedBackbone:
    """Explain all photographs by one backbone in a worker process, and end its MLflow run truthfully.

    Raises
    ------
    JobFailed
        It failed; the reason stands in its MLflow run too.
    """
    if pool.closed:
        raise PoolClosed
    plan, ledger = session.plan, session.ledger
    run_id, _ = ledger.open_backbone(backbone, plan.fingerprints[backbone], plan.photographs.digest)
    session.opened[backbone] = run_id

    def relay(event: dict[str, Any]) -> None:
        publish(StepEvent(f"explaining photographs by {backbone}", event["done"], event["total"]))

    minutes = plan.experiment.runner.timeout_minutes
    try:
        order = plan.order(backbone, ledger.tracking_uri, run_id)
        pool.do(order, relay, timeout=None if minutes is None else minutes * 60)
        ledger.end(run_id, "completed")
    except BaseException as fault:
        ledger.end(run_id, "failed", str(fault) or type(fault).__name__)
        raise
    return ExplainedBackbone(backbone, run_id, "completed")


@task(name="compare", cache_policy=NO_CACHE, persist_result=False)
def compare_photographs(session: Session, seconds: Mapping[str, float]) -> None:
    """Log the sheet that shows the same photographs for every backbone."""
    in_order = (session.done.get(name) for name in session.plan.experiment.backbones)
    done = {own.name: own.run_id for own in in_order if own is not None and own.run_id is not None}
    with tempfile.TemporaryDirectory(prefix="foldcam-compare-") as scratch:
        content = closing_content(session.plan, done, session.fetch, seconds, Path(scratch))
        session.ledger.writer(session.ledger.experiment_run_id).write(content)


def conclude(session: Session, failed: Mapping[str, ExplainedBackbone]) -> None:
    """End the experiment's run truthfully."""
    n_backbones = len(session.plan.experiment.backbones)
    reason = "; ".join(f"{own.name}: {own.error}" for own in failed.values())
    if not reason and len(session.done) < n_backbones:
        reason = f"{len(session.done)} of {n_backbones} backbones are done; the others were not asked for"
    status: Status = "completed" if len(session.done) == n_backbones else "partial" if session.done else "failed"
    session.ledger.end(session.ledger.experiment_run_id, status, reason)


def result_of(
    session: Session, failed: Mapping[str, ExplainedBackbone], seconds: Mapping[str, float]
) -> PhotographsResult:
    """Give the result of an experiment on photographs."""
    plan, ledger, fetch = session.plan, session.ledger, session.fetch
    found = session.done | dict(failed)
    return PhotographsResult(
        experiment=plan.experiment.name,
        experiment_run_id=session.known or ledger.experiment_run_id,
        status="completed" if not failed else "partial" if session.done else "failed",
        data_digest=plan.photographs.digest,
        backbones={name: found[name] for name in plan.experiment.backbones if name in found},
        seconds=seconds,
        tracking_uri=ledger.tracking_uri,
        read=lambda run_id: pd.read_parquet(fetch(run_id, "predictions.parquet")),
    )

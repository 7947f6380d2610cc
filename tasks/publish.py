"""Prefect tasks that show an experiment's outcome where people look: on Prefect's pages."""

from __future__ import annotations

import json

from httpx import HTTPError
from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.comparison.experiment import table
from tasks.comparison.pages.markdown import escaped
from tasks.comparison.results import BackboneResult
from tasks.comparison.standings.recorded import comparison_of, verdict_of
from tasks.fold import Session
from tasks.survey import fetcher

LOCAL_UI = "http://127.0.0.1:5000"
"""Where `foldcam ui` shows a local store."""


@task(name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish_outcome(session: Session, results: dict[str, BackboneResult]) -> None:
    """Put the comparison table and the link to the MLflow run on the flow run's page, if there is a server for it."""
    ledger, plan = session.ledger, session.plan
    rows = table(plan, results).round(4)
    verdict = verdict_of(comparison_of(ledger.experiment_run_id, fetcher(plan, ledger)))
    remote = ledger.tracking_uri.startswith("http")
    base = ledger.tracking_uri.rstrip("/") if remote else LOCAL_UI
    try:
        create_table_artifact(
            table=json.loads(rows.to_json(orient="records")),
            key="comparison",
            description=escaped(
                " ".join([f"{plan.experiment.name}: backbones by {plan.experiment.metric}, best first.", *verdict])
            ),
        )
        create_link_artifact(
            link=f"{base}/#/experiments/{ledger.runs.experiment_id}/runs/{ledger.experiment_run_id}",
            link_text="the experiment's run in MLflow",
            key="mlflow-run",
            description="" if remote else "Answers while `foldcam ui` runs in the experiment's folder.",
        )
    except HTTPError as fault:
        get_run_logger().warning("Prefect's server cannot be reached; its page of this run has no table: %s", fault)

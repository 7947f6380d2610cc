"""The nightly round: new images are checked, run, promoted where they earned it, and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.check import Check, check_experiment
from flows.cross_validate import cross_validate
from flows.form import formed
from flows.outcomes import left_out, nothing_new, refused, state_of
from flows.serving import Within, too_late
from tasks.arrivals import Arrivals, arrivals
from tasks.comparison.pages.markdown import escaped
from tasks.comparison.results import ExperimentResult
from tasks.comparison.standings.recorded import verdict_of
from tasks.config import InputError
from tasks.dataset.audit.findings import CODES
from tasks.dataset.store import cache_home
from tasks.dataset.wording import listed
from tasks.experiment_file import read_experiment
from tasks.survey import Request, recall, survey
from tasks.tracking.ledger import Ledger
from tasks.tracking.store import tracking_uri
from tasks.workers.plan import Plan

ExperimentFile = Annotated[
    str, Field(min_length=1, description="The experiment file, by its full path on the machine that runs it.")
]
Code: Any = Literal[tuple(CODES)]
"""A finding of the audit; a list to choose from in the form that Prefect's pages show."""

Overrides = Annotated[list[str], Field(description="KEY=VALUE each, such as training.epochs=3.")]


@flow(name="nightly", flow_run_name="nightly {file}", persist_result=False)
@formed
def nightly(
    file: ExperimentFile,
    overrides: Overrides = [],  # noqa: B006 — Prefect's form shows a list
    refuse: Annotated[
        list[Code], Field(description="Findings of the check that stop the run too, beside what stops every run.")
    ] = [],  # noqa: B006
    start_within_minutes: Within = None,
) -> State[Any]:
    """Check the images that are there, and run the experiment if anything is new; the champion changes if it is beaten.

    What the check refuses is not run, and the champion stays.
    """
    late = too_late(start_within_minutes)
    if late:
        return left_out(late)
    try:
        plan, found = _checked(file, overrides, refuse)
        if _is_known(plan):
            nothing = f"{found.told} Nothing to do; the champion stays."
            _report(file, None, [nothing])
            return nothing_new(nothing)
        result = cross_validate(plan.experiment)
    except InputError as fault:
        _report(file, None, [f"Refused, and the champion stays: {fault}"])
        return refused(str(fault))
    _report(file, found, _told(result))
    return state_of(result)


def _checked(file: str, overrides: list[str], refuse: list[str]) -> tuple[Plan, Arrivals]:
    """Read and check the images and hold them against the last run's; InputError where they are refused."""
    experiment = read_experiment(Path(file), overrides)
    checked = check_experiment(experiment)
    plan = checked.plan
    if not isinstance(checked, Check) or not isinstance(plan, Plan):
        raise checked.leak or InputError(
            f"{file} is about photographs without labels (data.labels.kind: none): there is nothing to train."
        )
    found = arrivals(plan.manifest, experiment.name, tracking_uri(), cache_home())
    log = get_run_logger()
    log.info("%s", found.told)
    for finding in checked.audited.findings:
        log.warning("%s %s: %s", finding.severity, finding.code, finding.message)
    stops = [finding for finding in checked.audited.findings if finding.code in refuse]
    if stops:
        raise InputError(" ".join(f"{finding.code}: {finding.message} {finding.advice}" for finding in stops))
    return plan, found


def _is_known(plan: Plan) -> bool:
    """Tell whether the record has the whole experiment on these very images and settings."""
    ledger = Ledger(tracking_uri(), plan.experiment.name)
    return recall(plan, survey(plan, Request(), ledger), ledger) is not None


def _told(result: ExperimentResult) -> list[str]:
    lines = [f"{result.experiment}: {result.status}."]
    lines += [f"Failed: {fold.backbone}/{fold.fold}: {fold.error}" for fold in result.failures]
    lines += verdict_of(result.comparison)
    lines += [str(result.champion["told"])] if result.champion else []
    lines += [f"The MLflow run {result.experiment_run_id} has the report."] if result.report else []
    return lines


def _report(file: str, found: Arrivals | None, lines: list[str]) -> None:
    """Put the report of the night on the flow run's page."""
    if found is not None:
        new = [f"New: {listed(found.new, 10)}."] if found.new and found.since else []
        lines = [found.told, *new, *lines]
    text = "\n\n".join(map(escaped, lines))
    create_markdown_artifact(
        f"# {escaped(Path(file).stem)}\n\n{text}\n", key="nightly", description=escaped(lines[0][:200])
    )

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.prefect_home import prefect_home
from tests.support.processes import alive, ended, until
from tests.support.studio import make_studio, quick

PROXY = "http://127.0.0.1:9"
"""A proxy that nobody is behind: servers on this machine must be spoken to directly."""

SECONDS = 30
"""Of the schedule: its cron has a sixth field, lest the tests wait for a full minute."""

PLANNED = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "5",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT2M",
}
"""The server plans a few runs ahead, and not a hundred."""


@pytest.fixture(scope="module")
def served(tmp_path_factory, empty_store, prefect_api):
    """`foldcam schedule` by the clock with the Prefect server that it starts, until a run of its own is over."""
    folder = tmp_path_factory.mktemp("served")
    proxies = {"http_proxy": PROXY, "https_proxy": PROXY, "no_proxy": "", "NO_PROXY": ""}
    studio = make_studio(folder, empty_store, PREFECT_HOME=prefect_home(folder / "prefect"), **PLANNED, **proxies)
    write_classes(studio.folder / "images", {"down": 6, "across": 6})
    file = studio.write(quick("images", name="nightly", runner={"workers": 1}))
    cron = f"* * * * * */{SECONDS}"
    process = studio.start("schedule", str(file), "--cron", cron, "--overlap", "queue", "--timezone", "UTC")
    said = [process.stdout.readline() for _ in range(4)]
    with ended(process), client_of(said[0].split()[1]) as client:
        deployment = until(lambda: deployment_called(client, "nightly"), 60, "the deployment")
        planned = until(lambda: flow_runs(client, deployment), 60, "planned flow runs")
        until(lambda: [run for run in flow_runs(client, deployment) if run.start_time], 120, "the clock")
        paused = paused_runs(client, deployment)
        asked = client.create_flow_run_from_deployment(deployment.id).id
        over = until(lambda: finished(client, deployment, asked), 180, "the end of both flow runs")
        answers = [answer_to(client, deployment, **wrong) for wrong in WRONG]
        children = psutil.Process(process.pid).children(recursive=True)
        started = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=240)
        seconds = time.monotonic() - started
        psutil.wait_procs(children, timeout=60)
    return SimpleNamespace(
        studio=studio,
        deployment=deployment,
        planned=planned,
        first=next(run for run in over if run.auto_scheduled),
        asked=next(run for run in over if run.id == asked),
        answers=answers,
        paused=paused,
        code=process.returncode,
        out="".join(said) + out,
        err=err,
        seconds=seconds,
        left=alive(children),
    )


WRONG = ({"training": {"epochs": 0}}, {"training": {"optimizer": {"name": "magic"}}}, {"epochs": 3}, {"seed": "x"})
"""Changes to the experiment that no form may take."""


@contextmanager
def client_of(page):
    with temporary_settings({PREFECT_API_URL: f"{page}/api"}), get_client(sync_client=True) as client:
        yield client


def answer_to(client, deployment, **changes):
    """Ask for a run with a changed experiment; give the server's status, or 201 if it takes it."""
    experiment = deployment.parameters["experiment"] | changes
    try:
        client.create_flow_run_from_deployment(deployment.id, parameters={"experiment": experiment})
    except PrefectHTTPStatusError as fault:
        return fault.response.status_code
    return 201


def paused_runs(client, deployment):
    """Pause the schedule as Prefect's pages do; give the runs to come that are still planned."""
    client.update_deployment_schedule(deployment.id, deployment.schedules[0].id, active=False)
    now = datetime.now(UTC)
    return [run for run in flow_runs(client, deployment) if run.state.is_scheduled() and run.expected_start_time > now]


def deployment_called(client, name):
    wanted = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
    return next(iter(client.read_deployments(deployment_filter=wanted)), None)


def flow_runs(client, deployment):
    wanted = FlowRunFilter(deployment_id={"any_": [deployment.id]})
    return client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


def finished(client, deployment, asked):
    over = [run for run in flow_runs(client, deployment) if run.state.is_final()]
    return over if any(run.auto_scheduled for run in over) and any(run.id == asked for run in over) else None


def test_the_clock_starts_a_run_that_completes(served):
    assert served.first.auto_scheduled
    assert served.first.state.type.value == "COMPLETED", served.first.state
    assert served.first.name == "nightly"


def test_the_scheduled_run_leaves_a_completed_experiment_in_mlflow(served):
    [run] = served.studio.runs("experiment")
    assert run.data.tags["foldcam.status"] == "completed"
    assert run.info.status == "FINISHED"
    folds = served.studio.runs("fold")
    assert [fold.data.tags["foldcam.status"] for fold in folds] == ["completed", "completed"]


def test_runs_are_planned_for_every_date_to_come(served):
    times = [run.expected_start_time for run in served.planned]
    assert len(times) > 3
    assert {moment.second for moment in times} == {0, SECONDS}
    assert {(later - earlier).total_seconds() for earlier, later in pairwise(times)} == {SECONDS}


def test_a_run_that_is_asked_for_meanwhile_waits_for_its_turn_and_reuses_what_is_done(served):
    assert served.asked.state.type.value == "COMPLETED", served.asked.state
    assert served.asked.start_time >= served.first.end_time
    assert len(served.studio.runs("experiment")) == 1


def test_ctrl_c_ends_the_schedule_and_leaves_nothing_running(served):
    assert "Traceback" not in served.err
    assert served.code == 0
    assert served.seconds < 20
    assert served.left == []
    assert [run for run in served.studio.runs() if run.info.status == "RUNNING"] == []


def test_it_says_what_is_served_and_how_to_end_it(served):
    assert "'nightly'" in served.out
    assert "Ctrl-C" in served.out
    assert "(UTC)" in served.out
    assert "waits its turn" in served.out
    assert "Next: " in served.out


def test_the_experiment_is_a_form_with_choices_bounds_and_descriptions(served):
    schema = served.deployment.parameter_openapi_schema
    forms = schema["definitions"]
    assert forms["Optimizer"]["properties"]["name"]["enum"] == ["adam", "sgd", "rmsprop"]
    epochs = forms["Training"]["properties"]["epochs"]
    assert (epochs["minimum"], epochs["description"]) == (1, "The most epochs.")
    assert "minutes" in schema["properties"]["start_within_minutes"]["description"]


def test_values_that_the_form_does_not_allow_are_refused_before_anything_runs(served):
    assert served.answers == [409] * len(WRONG)


def test_a_paused_schedule_plans_nothing(served):
    assert served.paused == []


@pytest.mark.parametrize("cron", ["every night", "61 2 * * *", "* * *"])
def test_what_is_no_cron_is_refused_with_an_example(tmp_path, empty_store, cron):
    studio = make_studio(tmp_path / "place", empty_store)
    (studio.folder / "images").mkdir()
    with studio.inside():
        message = foldcam("schedule", studio.write(quick("images"), "other.yaml"), "--cron", cron).refused()
    assert cron in message
    assert "0 2 * * *" in message

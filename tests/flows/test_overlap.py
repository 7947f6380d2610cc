from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled

from tests.support import sleeper
from tests.support.processes import ended, until


@pytest.fixture(scope="module")
def slept(prefect_api):
    """Two deployments served at once, one of each kind, both asked for two runs; and one asked for long ago.

    At last one is stopped by SIGTERM while a long run is under way.
    """
    with ExitStack() as stack, get_client(sync_client=True) as client:
        served = {kind: start(stack, f"sleeper-{kind}", kind, prefect_api) for kind in ("skip", "queue")}
        found = {kind: until(lambda own=kind: deployment(client, own), 60, kind) for kind in served}
        now = datetime.now(UTC)
        old = ask(client, found["queue"], now - timedelta(hours=2))
        asked = {kind: [ask(client, own, now) for _ in range(2)] for kind, own in found.items()}
        runs = {kind: until(lambda own=ids: over(client, own), 60, "the runs") for kind, ids in asked.items()}
        [late] = until(lambda: over(client, [old]), 60, "the late run")
        long = ask(client, found["queue"], datetime.now(UTC), seconds=600)
        until(lambda: client.read_flow_run(long).state.is_running(), 60, "the long run")
        served["queue"].send_signal(signal.SIGTERM)
        _, said = served["queue"].communicate(timeout=60)
        stopped = SimpleNamespace(code=served["queue"].returncode, said=said, run=client.read_flow_run(long))
    return SimpleNamespace(runs=runs, late=late, found=found, stopped=stopped)


def start(stack, name, overlap, api):
    command = [sys.executable, "-P", str(Path(sleeper.__file__)), name, overlap]
    environment = {"PREFECT_API_URL": api, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    stack.enter_context(ended(process))
    return process


def deployment(client, kind):
    try:
        return client.read_deployment_by_name(f"sleeper/sleeper-{kind}")
    except ObjectNotFound:
        return None


def ask(client, own, when, **parameters):
    planned = Scheduled(scheduled_time=when)
    return client.create_flow_run_from_deployment(own.id, state=planned, parameters=parameters).id


def over(client, asked):
    runs = [client.read_flow_run(own) for own in asked]
    return runs if all(run.state.is_final() for run in runs) else None


def test_by_default_a_run_that_falls_due_meanwhile_is_left_out_and_says_so(slept):
    states = sorted((run.state.type.value, run.state.message) for run in slept.runs["skip"])
    assert [kind for kind, _ in states] == ["CANCELLED", "COMPLETED"]
    assert "concurrency limit" in states[0][1]


def test_with_queue_it_waits_its_turn(slept):
    first, second = sorted(slept.runs["queue"], key=lambda run: run.start_time)
    assert [first.state.type.value, second.state.type.value] == ["COMPLETED", "COMPLETED"]
    assert second.start_time >= first.end_time


def test_a_run_that_comes_too_late_is_left_out_and_says_how_late(slept):
    assert (slept.late.state.type.value, slept.late.state.name) == ("CANCELLED", "LeftOut")
    assert "limit of 30" in slept.late.state.message


def test_the_server_keeps_one_run_at_a_time(slept):
    for kind, strategy in (("skip", "CANCEL_NEW"), ("queue", "ENQUEUE")):
        own = slept.found[kind]
        assert own.global_concurrency_limit.limit == 1
        assert own.concurrency_options.collision_strategy.value == strategy
        assert own.tags == ["foldcam"]


def test_a_run_under_way_ends_with_the_schedule_and_nothing_breaks_off(slept):
    assert (slept.stopped.code, slept.stopped.run.state.name) == (0, "Crashed")
    assert "Traceback" not in slept.stopped.said
    assert "never awaited" not in slept.stopped.said

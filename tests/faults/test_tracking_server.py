"""MLflow's and Prefect's servers fail while an experiment runs: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from flows.runners import free_port, local_server
from tests.support.disturbed import (
    Moment,
    assert_as_undisturbed,
    disturb,
    finish,
    long,
    random_moment,
    records_without_content,
    rounds,
)
from tests.support.faulty_proxy import Fault, every, faulty_proxy
from tests.support.postgres import postgres
from tests.support.servers import mlflow_over_http


@pytest.fixture
def served(own_studio, prefect_api):
    """A studio whose store is a server's, behind a forwarder; gives both."""
    with (
        mlflow_over_http(own_studio.folder, own_studio.tracking_uri) as url,
        faulty_proxy(url) as proxy,
    ):
        yield replace(own_studio, tracking_uri=proxy.url, prefect_api=prefect_api), proxy


def file_of(studio, undisturbed_run):
    return studio.write(undisturbed_run.settings)


def assert_all_is_there(studio, proxy, undisturbed_run):
    proxy.script, proxy.gone = None, False
    assert_as_undisturbed(studio, undisturbed_run)
    assert records_without_content(studio) == []
    assert list((studio.folder / "cache" / "waiting").glob("*")) == []


def away_for(proxy, seconds):
    """Give a fault: the server is gone, and back after some seconds."""

    def fault(_):
        proxy.gone = True
        threading.Timer(seconds, lambda: setattr(proxy, "gone", False)).start()

    return fault


def stays_away(proxy):
    def fault(_):
        proxy.gone = True

    return fault


def now_and_then(seed):
    """Give a script by which the server refuses, loses an answer or is slow once in a while."""
    draw = random.Random(seed)
    faults = [Fault(500), Fault(429, (("Retry-After", "1"),)), Fault(lost=True, after=True), Fault(seconds=0.5)]
    return lambda _, __: draw.choice(faults) if draw.random() < 0.08 else None


@long
def test_a_server_that_refuses_loses_and_delays_now_and_then_and_is_gone_for_a_while_changes_nothing(
    served, undisturbed_run
):
    studio, proxy = served
    proxy.script = now_and_then(7)
    done = disturb(studio, file_of(studio, undisturbed_run), Moment(1.0, in_folds=True), away_for(proxy, 8))
    assert done.code == 0, done.err
    assert done.struck
    assert proxy.struck > 5
    assert_all_is_there(studio, proxy, undisturbed_run)


@pytest.fixture
def left(served, undisturbed_run):
    """An experiment whose server went away while it trained, and did not come back in time."""
    studio, proxy = served
    hasty = replace(studio, variables={"FOLDCAM_MLFLOW_WAIT_SECONDS": "2"})
    file = file_of(studio, undisturbed_run)
    done = disturb(hasty, file, Moment(0.5, in_folds=True), stays_away(proxy))
    return studio, proxy, file, done


def test_what_a_server_that_is_gone_for_good_has_not_taken_waits_and_is_delivered_once(left, undisturbed_run):
    studio, proxy, file, done = left
    assert done.code == 3, done.err
    said = done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert "`foldcam sync`" in said
    assert str(studio.folder / "cache" / "waiting") in said
    assert done.out == ""
    proxy.script, proxy.gone = now_and_then(8), False
    synced = studio.foldcam("sync", "--json")
    assert synced.returncode == 0, synced.stderr
    told = json.loads(synced.stdout)
    assert [own["level"] for own in told["delivered"]] == ["fold", "fold", "backbone", "experiment"]
    assert told["compare_next"] == ["disturbed"]
    before = [run.info.run_id for run in studio.runs("fold", status="completed")]
    assert len(before) == 2
    assert [run.info.status for run in studio.runs() if run.info.status == "RUNNING"] == []
    finish(studio, file)
    assert proxy.struck > 5
    assert [run.info.run_id for run in studio.runs("fold", status="completed")] == before
    assert_all_is_there(studio, proxy, undisturbed_run)


@contextmanager
def own_prefect():
    with local_server(free_port()) as url:
        yield url


def of_prefect(url):
    """Give the processes of the Prefect server at an address."""
    port = int(url.split(":")[2].split("/")[0])
    listening = {found.pid for found in psutil.net_connections("tcp") if found.laddr and found.laddr.port == port}
    return [psutil.Process(pid) for pid in listening if pid]


@long
def test_a_prefect_server_that_is_gone_for_good_costs_no_fold_run(own_studio, undisturbed_run, tmp_path):
    with own_prefect() as url:
        studio = replace(own_studio, prefect_api=url)

        def kill(_):
            for process in of_prefect(url):
                if process.pid != psutil.Process().pid:
                    process.kill()

        done = disturb(studio, file_of(studio, undisturbed_run), Moment(0.5, in_folds=True), kill)
    assert done.struck
    assert done.code == 0, done.err
    assert_as_undisturbed(studio, undisturbed_run)


@long
@pytest.mark.parametrize("seed", rounds())
def test_a_server_gone_at_any_moment_for_any_time_loses_nothing(served, undisturbed_run, seed):
    studio, proxy = served
    hasty = replace(studio, variables={"FOLDCAM_MLFLOW_WAIT_SECONDS": "10"})
    file, seconds = file_of(studio, undisturbed_run), random.Random(seed).uniform(1, 60)
    done = disturb(hasty, file, random_moment(seed, undisturbed_run), away_for(proxy, seconds))
    assert done.code in (0, 2, 3), done.err
    time.sleep(seconds)
    finish(studio, file, calls=2)
    assert_all_is_there(studio, proxy, undisturbed_run)


@long
@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_server_that_answers_every_fifth_call_with_an_error_changes_nothing(served, undisturbed_run, status):
    studio, proxy = served
    proxy.script = every(5, Fault(status))
    finish(studio, file_of(studio, undisturbed_run))
    assert_all_is_there(studio, proxy, undisturbed_run)


@long
def test_a_slow_server_changes_nothing(served, undisturbed_run):
    studio, proxy = served
    proxy.script = every(1, Fault(seconds=0.3))
    finish(studio, file_of(studio, undisturbed_run))
    assert_all_is_there(studio, proxy, undisturbed_run)


@long
@pytest.mark.parametrize("status", [500, 507])
def test_a_store_of_artifacts_without_room_makes_results_wait(served, undisturbed_run, status):
    studio, proxy = served
    hasty = replace(studio, variables={"FOLDCAM_MLFLOW_WAIT_SECONDS": "2"})
    file = file_of(studio, undisturbed_run)

    def full(_):
        proxy.script = lambda method, _: Fault(status) if method == "PUT" else None

    done = disturb(hasty, file, Moment(0.5, in_folds=True), full)
    assert done.code == 3, done.err
    assert f"HTTP status {status}" in done.err
    proxy.script = None
    finish(studio, file)
    assert_all_is_there(studio, proxy, undisturbed_run)


@long
@pytest.mark.parametrize("seconds", [10, 60])
def test_a_prefect_server_that_comes_back_records_the_end(own_studio, undisturbed_run, seconds):
    with own_prefect() as url:
        studio = replace(own_studio, prefect_api=url)

        def stop(_):
            for process in of_prefect(url):
                if process.pid != psutil.Process().pid:
                    process.suspend()
                    threading.Timer(seconds, process.resume).start()

        done = disturb(studio, file_of(studio, undisturbed_run), Moment(0.5, in_folds=True), stop)
    assert done.code == 0, done.err
    assert_as_undisturbed(studio, undisturbed_run)


@long
@pytest.mark.skipif(shutil.which("pg_ctl", path="/usr/lib/postgresql/15/bin") is None, reason="no PostgreSQL here")
def test_a_database_restarted_under_the_server_changes_nothing(own_studio, undisturbed_run, prefect_api):
    with postgres() as database, mlflow_over_http(own_studio.folder, database.url) as url:
        studio = replace(own_studio, tracking_uri=url, prefect_api=prefect_api)
        done = disturb(
            studio, file_of(studio, undisturbed_run), Moment(1.0, in_folds=True), lambda _: database.restart(5)
        )
        assert done.code == 0, done.err
        assert_as_undisturbed(studio, undisturbed_run)

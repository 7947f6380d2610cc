"""The nightly round as a team has it: deployed to a work pool, taken up by a worker, told of by notices."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from tests.support.command import foldcam
from tests.support.hook import http_hook
from tests.support.images import write_classes
from tests.support.processes import ended, until
from tests.support.studio import make_studio, one_json, quick


@contextmanager
def worker(studio, pool):
    """Run a process worker for a pool while the block lasts."""
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    environment = os.environ | studio.environment
    with (studio.folder / "worker.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=studio.folder, env=environment, stdout=log, stderr=log, text=True, start_new_session=True
        )
        with ended(process):
            yield


def deployed(studio, pool, **changes):
    """Write images and an experiment file, and deploy the nightly round for it."""
    write_classes(studio.folder / "images", {"down": 6, "across": 6})
    file = studio.write(quick("images", name=pool, **changes))
    with studio.inside():
        answer = foldcam("deploy", "--pool", pool, "--only", "nightly", "--experiment", str(file), "--json")
    assert answer.code == 0, answer.err
    return one_json(answer.out)["deployments"][0]["id"]


def a_night(deployment, seconds=180):
    """Ask for a run and give it when it is over, with its report."""
    with get_client(sync_client=True) as client:
        asked = client.create_flow_run_from_deployment(deployment).id
        until(lambda: client.read_flow_run(asked).state.is_final(), seconds, "the night")
        run = client.read_flow_run(asked)
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[asked]))
        reports = [found.data for found in client.read_artifacts(artifact_filter=wanted) if found.key == "nightly"]
    return SimpleNamespace(run=run, state=run.state, report="\n".join(map(str, reports)))


@pytest.fixture(scope="module")
def night(studio):
    deployment = deployed(studio, "one-night")
    with worker(studio, "one-night"):
        return SimpleNamespace(studio=studio, **vars(a_night(deployment)))


def test_a_worker_takes_a_deployed_run_to_its_end(night):
    assert night.state.type.value == "COMPLETED", night.state
    assert "one-night: best is ncnn" in night.state.message
    assert night.run.work_pool_name == "one-night"


def test_it_leaves_a_completed_experiment_in_the_record_of_the_folder(night):
    [experiment] = night.studio.runs("experiment")
    assert experiment.data.tags["foldcam.status"] == "completed"
    assert [fold.data.tags["foldcam.status"] for fold in night.studio.runs("fold")] == ["completed", "completed"]
    assert (night.studio.folder / "mlruns").is_dir()


def test_the_report_says_what_arrived_and_how_it_ended(night):
    assert "12 images, none of them run before." in night.report
    assert "one-night: completed." in night.report


@pytest.fixture(scope="module")
def nights(tmp_path_factory, empty_store, prefect_api):
    """Four nights: the first images, nothing new, a damaged image, two new ones instead; notices are on."""
    studio = make_studio(tmp_path_factory.mktemp("nights"), empty_store, prefect_api)
    own = SimpleNamespace()
    deployment = deployed(studio, "four-nights", champion={"enabled": True})
    with http_hook() as hook, worker(studio, "four-nights"):
        with studio.inside():
            assert foldcam("notices", "apply", "--to", f"webhook:{hook.url}").code == 0
        own.first = a_night(deployment)
        own.second = a_night(deployment)
        damaged = studio.folder / "images" / "down" / "damaged.png"
        damaged.write_bytes(b"\x89PNG\r\n\x1a\n")
        own.third = a_night(deployment)
        own.champion_after_damage = studio.client.get_model_version_by_alias("four-nights", "champion").version
        damaged.unlink()
        write_classes(studio.folder / "more", {"down": 1, "across": 1}, seed=400)
        for path in (studio.folder / "more").rglob("*.png"):
            path.rename(studio.folder / "images" / path.parent.name / f"new_{path.name}")
        own.fourth = a_night(deployment)
        until(lambda: hook.about("refused"), 20, "the notice")
        with studio.inside():
            assert foldcam("notices", "remove").code == 0
    return SimpleNamespace(hook=hook, **vars(own))


@pytest.mark.long
def test_the_first_night_makes_a_champion_and_tells_of_it_once(nights):
    assert nights.first.state.name == "Completed"
    [told] = nights.hook.about("new champion of four-nights")
    assert "four-nights version 1" in told["body"]


@pytest.mark.long
def test_a_night_without_anything_new_says_so_and_does_nothing(nights):
    assert nights.second.state.name == "NothingNew"
    assert "Nothing to do" in nights.second.state.message


@pytest.mark.long
def test_a_damaged_image_refuses_the_night_with_its_name_and_the_champion_stays(nights):
    assert (nights.third.state.type.value, nights.third.state.name) == ("FAILED", "Refused")
    assert "damaged.png" in nights.third.state.message
    assert nights.champion_after_damage in ("1", 1)
    [told] = nights.hook.about("refused")
    assert "damaged.png" in told["body"]


@pytest.mark.long
def test_new_images_are_run_and_named(nights):
    assert nights.fourth.state.type.value == "COMPLETED"
    assert "14 images: 2 new since the last run." in nights.fourth.report
    assert "New: " in nights.fourth.report

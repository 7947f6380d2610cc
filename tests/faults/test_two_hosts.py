"""Two hosts, each with an address, a name and a cache of its own, and the cable between them, which is cut."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tasks.tracking.delivery import DONE_AGAIN
from tasks.tracking.runs import ERROR, JOB
from tests.support.disturbed import LONGEST, Moment, assert_as_undisturbed, disturb, long
from tests.support.hosts import Host, refusal, two_hosts
from tests.support.prefect_home import prefect_home
from tests.support.processes import PATIENCE
from tests.support.ray_nodes import ENVIRONMENT, RayNodes, ray_nodes
from tests.support.servers import mlflow_over_http, prefect_by_hand
from tests.support.studio import COMMAND, Studio, make_studio

SECONDS = 300 * PATIENCE

SILENCE = 300
"""Seconds in which a host that says nothing more is given up. Ray's head does so after one minute; a call to it lasts
seven where nobody ends it."""


@dataclass(frozen=True)
class Team:
    """The near host, with Prefect's server and Ray's head, where experiments are called; the far one does the work."""

    near: Host
    far: Host
    nodes: RayNodes
    prefect_api: str

    @contextmanager
    def studio(self, folder: Path, empty_store: Path) -> Iterator[Studio]:
        """Give a place on the near host with an MLflow server of its own."""
        own = make_studio(folder, empty_store, self.prefect_api, **ENVIRONMENT)
        with mlflow_over_http(folder, own.tracking_uri, self.near) as address:
            yield replace(own, tracking_uri=address, before=tuple(self.near.on(folder)))

    def sync(self, studio: Studio) -> str:
        """Deliver what waits on the far host, and give what is said of it."""
        done = subprocess.run(
            [*self.far.on(studio.folder), *COMMAND, "sync"],
            env=os.environ | studio.environment | {"FOLDCAM_HOME": str(self.nodes.home("far"))},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def team(tmp_path_factory, prefect_api):
    if why := refusal():
        pytest.skip(f"hosts with a network of their own cannot be made here: {why}")
    folder = tmp_path_factory.mktemp("hosts")
    with (
        two_hosts() as (near, far),
        prefect_by_hand(folder, near, PREFECT_HOME=prefect_home(folder / "prefect")) as api,
        ray_nodes(folder / "nodes", near, FOLDCAM_MLFLOW_WAIT_SECONDS="5") as nodes,
    ):
        nodes.join("far", on=far)
        nodes.wait_for("far")
        yield Team(near, far, nodes, api)


def _written(studio: Studio, team: Team, settings: dict[str, object]) -> Path:
    return studio.write(settings | {"runner": {"kind": "ray", "address": team.nodes.address}})


@long
@pytest.mark.timeout(2 * SECONDS)
def test_fold_runs_on_another_host_give_the_figures_of_one_machine_alone(team, undisturbed_run, empty_store, tmp_path):
    with team.studio(tmp_path / "studio", empty_store) as studio:
        file = _written(studio, team, undisturbed_run.settings)
        done = studio.foldcam("run", str(file), "--json", timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        assert "ncnn/0 started" in done.stderr
        assert_as_undisturbed(studio, undisturbed_run)
    assert len(list(team.nodes.home("far").glob("plans/*/manifest.parquet"))) == 1


@long
@pytest.mark.timeout(3 * SECONDS)
def test_a_host_that_is_cut_off_loses_nothing_and_does_not_count_twice_when_it_is_back(
    team, undisturbed_run, empty_store, tmp_path
):
    def cut(_):
        team.far.link("down")
        team.nodes.join("late", on=team.near)

    with team.studio(tmp_path / "studio", empty_store) as studio:
        file = _written(studio, team, undisturbed_run.settings)
        done = disturb(studio, file, Moment(1.0, in_folds=True), cut)
        assert done.struck
        assert done.code == 0, done.err
        assert "begun again" in done.err
        waiting = sorted(team.nodes.home("far").glob("waiting/*/sealed.json"))
        assert len(waiting) == 1, "the far host has ended its fold run without the others, and keeps it"
        team.far.link("up")
        said = team.sync(studio)
        assert_as_undisturbed(studio, undisturbed_run)
        folds = studio.runs("fold")
        [cut_short] = [run for run in folds if run.info.status == "FAILED"]
        assert cut_short.data.tags[ERROR] == DONE_AGAIN, said
        [again] = [run for run in folds if run.data.tags[JOB] == cut_short.data.tags[JOB] and run is not cut_short]
        assert (again.info.start_time - cut_short.info.start_time) / 1000 < SILENCE

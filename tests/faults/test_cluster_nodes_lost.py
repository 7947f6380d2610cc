"""A Ray cluster whose only node is killed in the middle of a fold run, while another one joins."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from tasks.config import Runner
from tasks.tracking.node_ledger import CUT_SHORT
from tasks.tracking.runs import JOB
from tasks.workers.cluster_channel import NAMESPACE
from tests.support.disturbed import Moment, assert_as_undisturbed, disturb
from tests.support.ray_nodes import ray_nodes
from tests.support.studio import make_studio, one_json


@pytest.fixture(scope="module")
def lost(tmp_path_factory, empty_store, prefect_api, undisturbed_run):
    studio = make_studio(tmp_path_factory.mktemp("cluster"), empty_store, prefect_api, RAY_AUTH_MODE="disabled")
    with ray_nodes(tmp_path_factory.mktemp("nodes")) as nodes:
        nodes.join("first")
        nodes.wait_for("first")
        file = studio.write(undisturbed_run.settings | {"runner": {"kind": "ray", "address": nodes.address}})

        def first_is_lost(_):
            nodes.join("late")
            nodes.kill("first")

        done = disturb(studio, file, Moment(1.0, in_folds=True), first_is_lost)
        yield SimpleNamespace(studio=studio, done=done, nodes=nodes)


def test_nothing_is_lost_and_the_figures_are_those_of_this_machine_alone(lost, undisturbed_run):
    assert lost.done.struck
    assert lost.done.code == 0, lost.done.err
    assert_as_undisturbed(lost.studio, undisturbed_run)


def test_the_try_that_was_lost_is_on_record_as_failed_and_says_why(lost):
    folds = lost.studio.runs("fold")
    [cut] = [run for run in folds if run.info.status == "FAILED"]
    assert cut.data.tags["foldcam.error"] == CUT_SHORT
    [again] = [run for run in folds if run.data.tags[JOB] == cut.data.tags[JOB] and run is not cut]
    assert again.data.tags["foldcam.status"] == "completed"


def test_the_node_that_came_late_did_the_rest_from_tables_that_it_fetched_itself(lost):
    homes = {name: sorted(lost.nodes.home(name).glob("plans/*/manifest.parquet")) for name in ("first", "late")}
    assert len(homes["first"]) == len(homes["late"]) == 1


def test_people_are_told_of_each_epoch_and_of_the_second_try(lost):
    folds = one_json(lost.done.out)["backbones"]["ncnn"]["folds"]
    assert [fold["status"] for fold in folds] == ["completed"] * len(folds)
    assert "begun again" in lost.done.err


def test_word_of_the_nodes_comes_in_on_the_calling_machine_which_no_lost_node_takes_with_it(lost, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # read when Ray is imported
    import ray

    from flows.ray_cluster import connected_ray

    with connected_ray(Runner(kind="ray", address=lost.nodes.address)) as cluster, ExitStack() as stack:
        channels = [stack.enter_context(cluster.listening(lambda _: None)) for _ in range(4)]
        boxes = [ray.get_actor(channel.removeprefix("ray:"), namespace=NAMESPACE) for channel in channels]
        places = ray.get([box.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()) for box in boxes])
        assert set(places) == {ray.get_runtime_context().get_node_id()}

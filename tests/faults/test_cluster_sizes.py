"""Twenty-five fold runs on clusters of several sizes: the same figures to the last bit as on this machine alone."""

from __future__ import annotations

import pytest

from tests.support.disturbed import assert_as_undisturbed, completed, long, undisturbed
from tests.support.processes import PATIENCE
from tests.support.ray_nodes import ray_nodes
from tests.support.studio import make_studio

SECONDS = 300 * PATIENCE


@pytest.fixture(scope="module")
def alone(tmp_path_factory, empty_store, prefect_api):
    studio = make_studio(tmp_path_factory.mktemp("alone"), empty_store, prefect_api)
    return undisturbed(studio, folds={"n_splits": 5, "n_repeats": 5}, runner={"workers": 2})


@long
@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_the_number_of_ray_nodes_changes_no_figure(nodes, alone, own_studio, tmp_path):
    own_studio.variables["RAY_AUTH_MODE"] = "disabled"
    with ray_nodes(tmp_path / "nodes") as cluster:
        for number in range(nodes):
            cluster.join(f"node-{number}")
        runner = {"kind": "ray", "address": cluster.address}
        done = own_studio.foldcam("run", str(own_studio.write(alone.settings | {"runner": runner})), timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert len(completed(own_studio)) == 25
    assert_as_undisturbed(own_studio, alone)


@long
@pytest.mark.timeout(2 * SECONDS)
def test_a_caller_that_is_no_node_of_the_cluster_gets_the_same_figures(undisturbed_run, own_studio, tmp_path):
    own_studio.variables["RAY_AUTH_MODE"] = "disabled"
    with ray_nodes(tmp_path / "nodes") as cluster:
        cluster.join("node")
        runner = {"kind": "ray", "address": cluster.address_outside}
        file = own_studio.write(undisturbed_run.settings | {"runner": runner})
        done = own_studio.foldcam("run", str(file), "--json", timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert "ncnn/0 started" in done.stderr
    assert_as_undisturbed(own_studio, undisturbed_run)


@long
@pytest.mark.timeout(2 * SECONDS)
def test_a_dask_cluster_changes_no_figure(alone, own_studio):
    runner = {"kind": "dask", "workers": 2}
    done = own_studio.foldcam("run", str(own_studio.write(alone.settings | {"runner": runner})), timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert_as_undisturbed(own_studio, alone)

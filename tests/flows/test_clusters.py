from __future__ import annotations

import sys

import pytest
from distributed import LocalCluster

from flows.cluster_room import check_address, cores_of, usable
from flows.clusters import check_nodes, connected
from flows.dask_cluster import DaskCluster
from flows.runners import free_port
from tasks.config import Experiment, InputError, Runner
from tasks.planning import load_plan
from tasks.workers.cluster_report import Needs, NodeReport
from tasks.workers.plan import versions
from tests.support.images import write_classes
from tests.support.processes import until
from tests.support.studio import quick


@pytest.fixture(scope="module")
def scheduler():
    """A Dask cluster of one worker with two threads in this process: no fold run is done."""
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def planned_here(tmp_path_factory):
    images = write_classes(tmp_path_factory.mktemp("images") / "data", {"across": 6, "down": 6})
    return load_plan(Experiment.model_validate(quick(images)))


def runner(**settings):
    return Runner.model_validate({"kind": "dask"} | settings)


@pytest.mark.parametrize(("kind", "start"), [("ray", "ray start --head"), ("dask", "dask scheduler")])
def test_an_address_that_nothing_answers_at_is_refused_at_once(kind, start):
    port = free_port()
    with pytest.raises(InputError, match=f"no {kind.capitalize()} cluster answers at 127.0.0.1:{port} .*`{start}`"):
        check_address(kind, f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["://", "10.0.0.5", "ray://10.0.0.5", "10.0.0.5:ray"])
def test_an_address_without_a_host_or_a_port_is_refused_with_how_it_is_written(address):
    with pytest.raises(InputError, match=r"is no address\. It is written as HOST:6379, or ray://HOST:10001"):
        check_address("ray", address)


@pytest.mark.parametrize(("kind", "package"), [("ray", "prefect_ray"), ("dask", "prefect_dask")])
def test_an_engine_that_is_not_installed_is_named_with_its_mend(kind, package, monkeypatch):
    monkeypatch.delitem(sys.modules, f"flows.{kind}_cluster", raising=False)
    for name in {package, *(name for name in sys.modules if name.startswith(f"{package}."))}:
        monkeypatch.setitem(sys.modules, name, None)
    with (
        pytest.raises(InputError, match=rf"needs the package {package}.*pip install 'foldcam\[{kind}\]'"),
        connected(Runner(kind=kind)),
    ):
        pass


def test_a_cluster_without_a_gpu_where_one_is_asked_for_is_refused(scheduler):
    wanted = runner(address=scheduler.scheduler_address, gpus_per_fold=1)
    with pytest.raises(InputError, match="No node of the Dask cluster has the 1 core and 1 GPU"), connected(wanted):
        pass


@pytest.mark.parametrize(("workers", "slots"), [("auto", 2), (1, 1), (7, 2)])
def test_a_cluster_has_room_for_as_many_as_it_has_threads_or_as_are_wanted(scheduler, workers, slots):
    with connected(runner(address=scheduler.scheduler_address, workers=workers)) as cluster:
        assert cluster.slots() == slots


def test_a_worker_that_joins_late_makes_room(scheduler):
    with connected(runner(address=scheduler.scheduler_address)) as cluster:
        before = cluster.slots()
        scheduler.scale(2)
        until(lambda: cluster.slots() == 2 * before, 10, "the second worker")
        scheduler.scale(1)
        until(lambda: cluster.slots() == before, 10, "the second worker's end")


def test_every_node_is_asked_and_says_what_it_lacks(scheduler):
    with connected(runner(address=scheduler.scheduler_address)) as cluster:
        assert isinstance(cluster, DaskCluster)
        [good] = cluster.reports(Needs(versions(), "", {}))
        [bad] = cluster.reports(Needs(versions() | {"keras": "2.0.0"}, "", {}))
    assert good.faults == ()
    assert "instead of 2.0.0" in bad.faults[0]


class Broken:
    """A cluster of which only its nodes' faults are wanted."""

    kind = "ray"

    def __init__(self, n):
        self.n = n

    def reports(self, needs):
        self.needs = needs
        return [NodeReport(f"gpu-{i}", ("has no foldcam: install it there",)) for i in range(self.n)]


def test_faults_of_nodes_are_told_by_name_and_not_without_end(planned_here):
    cluster = Broken(7)
    with pytest.raises(InputError, match=r"^The node gpu-0 has no foldcam.* Other nodes have 2 more faults\.$"):
        check_nodes(cluster, planned_here, "http://mlflow:5000", "http://prefect:4200/api")
    assert cluster.needs.data_root == str(planned_here.manifest.root)
    assert list(cluster.needs.servers.values()) == ["http://mlflow:5000", "http://prefect:4200/api"]
    check_nodes(Broken(0), planned_here, "", "")


def test_a_fold_run_takes_the_cores_of_its_threads_or_those_that_are_set():
    assert cores_of(Runner(kind="ray", threads_per_worker=3)) == 3
    assert cores_of(Runner(kind="ray", threads_per_worker=3, cpus_per_fold=0.5)) == 0.5
    assert usable(Runner(kind="ray", workers=2), 64) == 2
    assert usable(Runner(kind="ray"), 64) == 64

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from tasks.config import InputError
from tasks.tracking.ledger import Ledger
from tasks.tracking.node_ledger import Errand
from tasks.tracking.records import File
from tasks.workers import cluster_node
from tasks.workers.cluster_channel import receive, telling
from tasks.workers.cluster_job import make_job
from tasks.workers.cluster_node import TABLES, plan_of
from tasks.workers.cluster_report import Needs, report
from tasks.workers.events import FoldEvent, StepEvent, publish, subscribe
from tasks.workers.plan import versions
from tasks.workers.pool import JobFailed, PoolClosed

CELL = ("ncnn", 1)


@pytest.fixture(scope="module")
def given(planned, images, store, tmp_path_factory):
    """A plan whose tables are in an MLflow run, and the job of one of its fold runs."""
    plan = planned(images, tmp_path_factory.mktemp("home"), name="node")
    plan.write()
    ledger = Ledger(store, "node")
    run_id = ledger.open_experiment(ledger.look_up(plan.fingerprint, {}), "node", {})
    ledger.writer(run_id).write([File(plan.folder / name) for name in TABLES])
    return plan, make_job(plan, CELL, store, Errand("job", run_id, "backbone", "ncnn", "host:1:2"), "")


@pytest.fixture(autouse=True)
def new_process():
    """A node's process that has made no plan yet."""
    cluster_node._plans.clear()


def test_a_job_is_small_and_travels(given):
    _, job = given
    sent = pickle.dumps(job)
    assert len(sent) < 20_000
    assert pickle.loads(sent) == job


def test_a_node_makes_the_same_plan_from_tables_that_it_fetches_once(given, monkeypatch, tmp_path):
    plan, job = given
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path / "node"))
    own = plan_of(job)
    assert own.fingerprints == plan.fingerprints
    assert own.folder.is_relative_to(tmp_path / "node")
    assert sorted(path.name for path in own.folder.iterdir()) == sorted(TABLES)
    assert own.order("fold", CELL).cache_folder.startswith(str(tmp_path))
    cluster_node._plans.clear()
    assert plan_of(replace(job, tracking_uri="http://127.0.0.1:1")).fingerprint == plan.fingerprint


def test_a_node_with_other_packages_is_refused_by_their_names(given):
    _, job = given
    other = replace(job, versions=job.versions | {"keras": "2.0.0"})
    with pytest.raises(InputError, match=r"The node \S+ has keras \S+ instead of 2\.0\.0"):
        plan_of(other)


def test_a_node_that_does_not_see_the_images_is_refused(given, tmp_path):
    _, job = given
    with pytest.raises(InputError, match=r"has no folder .*/elsewhere\. Put the images where every node sees them"):
        plan_of(replace(job, data_root=str(tmp_path / "elsewhere")))


def test_a_node_that_would_do_another_experiment_is_refused(given, monkeypatch, tmp_path):
    _, job = given
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path / "node"))
    with pytest.raises(InputError, match="would do another experiment"):
        plan_of(replace(job, experiment=job.experiment | {"seed": 7}))


def test_a_node_says_all_that_is_wrong_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDCAM_HOME", "/proc/nowhere")
    needs = Needs(
        versions() | {"keras": "2.0.0"},
        str(tmp_path / "none"),
        {"MLflow's store": f"sqlite:///{tmp_path / 'mlflow.db'}", "Prefect's server": "http://127.0.0.1:1/api"},
    )
    faults = report(needs).faults
    assert [fault.split(" ")[0] for fault in faults] == ["has", "has", "does", "does", "cannot"]
    assert "instead of 2.0.0" in faults[0]
    assert "Prefect's server at http://127.0.0.1:1 " in faults[3]


def test_nothing_is_wrong_with_a_node_that_has_all(given, images, store):
    assert report(Needs(versions(), str(images), {"MLflow's store": store})).faults == ()


@pytest.mark.parametrize("fault", [JobFailed("it failed", final=True), PoolClosed()])
def test_failures_travel(fault):
    there = pickle.loads(pickle.dumps(fault))
    assert (type(there), str(there), there.final) == (type(fault), str(fault), fault.final)


def test_word_arrives_as_it_was_sent_but_for_ends_which_come_with_the_result():
    heard = []
    events = [
        FoldEvent("ncnn", 1, "training", epoch=2, epochs=3, metric="accuracy", value=0.5),
        StepEvent("frozen features of ncnn", 3, 4),
        FoldEvent("ncnn", 1, "completed"),
        FoldEvent("ncnn", 1, "failed"),
    ]
    with subscribe(heard.append):
        for event in events:
            about = "fold" if isinstance(event, FoldEvent) else "step"
            receive({"about": about, **vars(event)})
    assert heard == events[:2]


def test_without_a_channel_nothing_is_sent_and_nothing_is_disturbed():
    heard = []
    with subscribe(heard.append), telling("", CELL):
        publish(FoldEvent(*CELL, "starting"))
    assert heard == [FoldEvent(*CELL, "starting")]

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.logging import disable_run_logger

from tasks.backbones.build import build_model
from tasks.comparison.costs import MEASURED
from tasks.comparison.results import FoldResult
from tasks.cost import measure_cost
from tasks.explanation.effort import multiply_adds
from tasks.fold import Session
from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.records import Metrics
from tasks.workers.machine import machine
from tasks.workers.pool import PoolClosed, WorkerPool

TWO_FOLDS = ({"seconds/train": 2.0, "cost/peak_memory_mb": 900.0}, {"seconds/train": 4.0, "cost/peak_memory_mb": 800.0})


@pytest.fixture
def session(planned, images, tmp_path, pool, store):
    """An experiment with two finished fold runs of N-CNN in the record."""
    plan = planned(images, tmp_path / "cache", name=tmp_path.name)
    ledger = Ledger(store, tmp_path.name)
    ledger.open_experiment(Known(None, {}), "costly", {})
    reopened(plan, ledger)
    return Session(plan, ledger, pool)


def reopened(plan, ledger):
    """Open a backbone run below the experiment's, as each call of the experiment does."""
    return ledger.open_backbone("ncnn", plan.backbone_fingerprint("ncnn"), plan.manifest.digest)[0]


def folds_of(session):
    folds = []
    for fold, metrics in enumerate(TWO_FOLDS):
        run_id = session.ledger.open_fold("ncnn", fold, f"{fold}", "digest")
        session.ledger.writer(run_id).write([Metrics(metrics)])
        folds.append(FoldResult("ncnn", fold, "completed", run_id))
    return folds


def measured(session, folds, **how):
    with disable_run_logger():
        return measure_cost.fn(session, "ncnn", folds, **({"fresh": False} | how))


def logged(session):
    data = session.ledger.client.get_run(session.ledger.backbone_run("ncnn")).data
    return {name: value for name, value in data.metrics.items() if name.startswith("cost/")}, data.tags


def test_a_backbone_is_measured_and_logged_with_what_its_folds_took(session):
    cost = measured(session, folds_of(session))
    model = build_model("ncnn", n_outputs=2, size=34, freeze="none").model
    assert set(cost.figures) == {*MEASURED, "train_seconds", "peak_memory_mb"}
    assert cost.figures["parameters"] == model.count_params()
    assert cost.figures["gflops"] == pytest.approx(2 * multiply_adds(model) / 1e9)
    assert cost.figures["train_seconds"] == 3.0
    assert cost.figures["peak_memory_mb"] == 900.0
    assert min(cost.figures[name] for name in ("images_per_second_1", "images_per_second_32")) > 0
    assert (cost.machine, cost.device) == (machine(), "CPU")
    metrics, tags = logged(session)
    assert metrics == pytest.approx({f"cost/{name}": value for name, value in cost.figures.items()})
    assert (tags["foldcam.cost_machine"], tags["foldcam.cost_device"]) == (machine(), "CPU")


def test_what_the_record_has_of_this_machine_is_not_measured_again(session, monkeypatch):
    folds = folds_of(session)
    first = measured(session, folds)
    session.ledger.open_experiment(Known(None, {}), "again", {})
    run_id = reopened(session.plan, session.ledger)
    again = measured(session, folds)
    assert again.figures == pytest.approx(first.figures)
    assert "cost/gflops" in session.ledger.client.get_run(run_id).data.metrics
    speeds = [own.figures["images_per_second_1"] for own in (first, measured(session, folds, fresh=True))]
    assert speeds[0] != speeds[1]
    monkeypatch.setattr("tasks.cost.machine", lambda: "another machine")
    elsewhere = measured(session, folds)
    assert elsewhere.machine == "another machine"
    assert elsewhere.figures["images_per_second_1"] not in speeds


def test_what_cannot_be_measured_is_left_out_and_nothing_fails(session, planned, images, tmp_path):
    session.plan = planned(images, tmp_path / "cache", backbones={"ncnn": {"freeze": "bsae"}})
    cost = measured(session, folds_of(session))
    assert cost.figures == {"train_seconds": 3.0, "peak_memory_mb": 900.0}
    assert cost.milliseconds is None
    metrics, tags = logged(session)
    assert metrics == {"cost/train_seconds": 3.0, "cost/peak_memory_mb": 900.0}
    assert "foldcam.cost_machine" not in tags


def test_a_stopped_experiment_does_not_go_on_measuring(session):
    closed = WorkerPool([], threads=1, deterministic=True)
    closed.close()
    with pytest.raises(PoolClosed):
        measured(Session(session.plan, session.ledger, closed), [])


def test_a_fold_run_is_the_same_after_its_backbone_was_measured(pool, planned, images, tmp_path, store, new_run):
    plan = planned(images, tmp_path / "cache", explanation={"max_images": 0})

    def do():
        run_id = new_run()
        outcome = pool.do(plan.order("fold", ("ncnn", 0), store, run_id), lambda _: None, timeout=600)
        return outcome["metrics"], MlflowClient(store).get_run(run_id)

    before, run = do()
    cost = pool.do(plan.order("cost", ("ncnn", -1)), lambda _: None, timeout=600)["figures"]
    after, _ = do()
    assert after == before
    assert run.data.metrics["cost/peak_memory_mb"] > 100
    [model] = run.outputs.model_outputs
    place = MlflowClient(store).get_logged_model(model.model_id).artifact_location
    [network] = Path(place.removeprefix("file://")).rglob("*.keras")
    assert cost["model_mb"] * 1e6 == pytest.approx(network.stat().st_size, rel=0.01)

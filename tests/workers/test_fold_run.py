from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from tasks.dataset.manifest import read_manifest
from tasks.evaluation.metrics import score
from tasks.workers.order import read_material
from tasks.workers.plan import make_plan
from tasks.workers.pool import JobFailed
from tasks.workers.workshop import Workshop
from tests.support.images import write_classes

FOLD = 1
EPOCHS = 2
SETTINGS = {
    "training": {"epochs": EPOCHS, "batch_size": 4, "early_stopping_patience": None},
    "explanation": {"max_images": None, "contact_sheet_images": 4, "faithfulness_images": 4},
}
STEPS = ["prepare", "train", "evaluate", "explain", "measure", "plot", "log"]


@pytest.fixture(scope="module")
def split_images(tmp_path_factory):
    """Two classes with a test split of the data's own, and a name that is there in both."""
    root = tmp_path_factory.mktemp("split") / "data"
    write_classes(root / "train", {"große Äpfel": 9, "other": 8})
    write_classes(root / "test", {"große Äpfel": 2, "other": 3}, seed=5, size=(24, 60))
    return root


@pytest.fixture(scope="module")
def run(pool, store, new_run):
    """Give a function that does a fold run in a worker and gives all that came of it."""

    def do(plan, fold=FOLD):
        run_id, events = new_run(), []
        result = pool.do(plan.order("fold", ("ncnn", fold), store, run_id), events.append, timeout=600)
        client = MlflowClient(store)
        root = Path(client.get_run(run_id).info.artifact_uri)
        return SimpleNamespace(
            plan=plan,
            rows=plan.rows[fold],
            result=result,
            events=events,
            run_id=run_id,
            client=client,
            folder=root,
            logged=client.get_run(run_id).data,
            history=pd.read_csv(root / "history.csv"),
            predictions=pd.read_parquet(root / "predictions.parquet"),
        )

    return do


@pytest.fixture(scope="module")
def whole(run, planned, split_images, tmp_path_factory):
    """A network trained whole, on data with a holdout."""
    return run(planned(split_images, tmp_path_factory.mktemp("cache"), **SETTINGS))


@pytest.fixture(scope="module")
def frozen(run, planned, images, tmp_path_factory):
    """A frozen base, on data without a holdout, and no pictures."""
    changes = SETTINGS | {"explanation": {"max_images": 0}, "backbones": {"ncnn": {"freeze": "base"}}}
    return run(planned(images, tmp_path_factory.mktemp("cache"), **changes))


def poisoned(plan, folder):
    """Give the same plan on a copy of the images in which those of the tested fold and the holdout are noise."""
    root = shutil.copytree(plan.manifest.root, folder / "data")
    rng = np.random.default_rng(8)
    for row in [*plan.rows[FOLD].test, *plan.rows[FOLD].holdout]:
        file = root / plan.manifest.table["path"][row]
        height, width = np.array(Image.open(file)).shape[:2]
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file)
    experiment = plan.experiment.model_copy(
        update={"data": plan.experiment.data.model_copy(update={"path": root})},
    )
    return make_plan(experiment, read_manifest(experiment.data), plan.fold_of_row, folder / "cache")


def training_of(history):
    return history.drop(columns="seconds").to_numpy().tobytes()


@pytest.mark.parametrize("which", ["whole", "frozen"])
def test_test_images_and_holdout_never_bear_on_training(which, run, tmp_path, request):
    clean = request.getfixturevalue(which)
    other = run(poisoned(clean.plan, tmp_path))
    assert set(other.predictions["sha256"]).isdisjoint(clean.predictions["sha256"])
    assert training_of(other.history) == training_of(clean.history)
    probabilities = [table.filter(like="prob/").to_numpy() for table in (clean.predictions, other.predictions)]
    assert not np.array_equal(*probabilities)


def test_the_same_fold_run_gives_the_same_figures_to_the_last_bit(whole, run):
    again = run(whole.plan)
    assert again.result["metrics"] == whole.result["metrics"]
    assert training_of(again.history) == training_of(whole.history)
    pd.testing.assert_frame_equal(again.predictions, whole.predictions, check_exact=True)


def test_the_worker_tells_how_far_it_is(whole):
    states = [event["state"] for event in whole.events]
    assert states == ["starting", *["training"] * EPOCHS, "evaluating", "explaining", "logging"]
    epochs = [event for event in whole.events if event["state"] == "training"]
    assert [(event["epoch"], event["epochs"]) for event in epochs] == [(n + 1, EPOCHS) for n in range(EPOCHS)]
    assert {event["metric"] for event in epochs} == {"balanced_accuracy"}
    assert [event["value"] for event in epochs] == whole.history["val/balanced_accuracy"].tolist()


def test_the_result_holds_metrics_seconds_and_epochs(whole):
    assert whole.result["epochs"] == EPOCHS == len(whole.history)
    assert list(whole.result["seconds"]) == [*STEPS, "total"]
    parts = sum(whole.result["seconds"][step] for step in STEPS)
    assert 0.7 * whole.result["seconds"]["total"] < parts <= whole.result["seconds"]["total"]
    classes = whole.plan.manifest.classes
    y = [classes.index(label) for label in whole.predictions["true"]]
    assert whole.result["metrics"] == score(y, whole.predictions.filter(like="prob/").to_numpy(), classes)


def rows_of(run, rows):
    return run.plan.manifest.table.iloc[rows]


def test_the_predictions_are_of_the_folds_own_images(whole):
    table = rows_of(whole, whole.rows.test)
    assert whole.predictions["path"].tolist() == table["path"].tolist()
    assert whole.predictions["sha256"].tolist() == table["sha256"].tolist()
    assert whole.predictions["true"].tolist() == table["label"].tolist()
    assert set(whole.predictions["fold"]) == {FOLD}
    probabilities = whole.predictions[["prob/große Äpfel", "prob/other"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert (probabilities.idxmax(axis=1).str.removeprefix("prob/") == whole.predictions["predicted"]).all()


def test_the_holdout_is_predicted_where_there_is_one(whole, frozen):
    table = pd.read_parquet(whole.folder / "holdout_predictions.parquet")
    assert table["path"].tolist() == rows_of(whole, whole.rows.holdout)["path"].tolist()
    assert len(table) == 5
    assert not (frozen.folder / "holdout_predictions.parquet").exists()


def test_every_test_image_has_an_overlay_of_its_own_size_under_right_or_wrong(whole):
    found = {}
    for kind in ("right", "wrong"):
        for file in (whole.folder / "explanations" / "gradcam" / kind).glob("*"):
            found[file.name] = kind, Image.open(file).size
    assert len(found) == len(whole.predictions)
    assert {size for _, size in found.values()} == {(32, 40)}
    right = int((whole.predictions["true"] == whole.predictions["predicted"]).sum())
    assert sum(kind == "right" for kind, _ in found.values()) == right


def test_the_contact_sheet_opens_and_no_pictures_are_made_where_none_are_wanted(whole, frozen):
    with Image.open(whole.folder / "explanations" / "contact_sheet.png") as sheet:
        sheet.load()
        assert min(sheet.size) > 100
    assert not (frozen.folder / "explanations").exists()


def test_plots_and_model_stand_with_the_run(whole):
    plots = list((whole.folder / "plots").iterdir())
    assert len(plots) >= 5
    for file in plots:
        Image.open(file).verify()
    [model] = whole.client.get_run(whole.run_id).outputs.model_outputs
    assert whole.client.get_logged_model(model.model_id).name == "model"


def test_metrics_are_logged_by_epoch_and_once_for_the_test(whole):
    for name in ("train/loss", "val/loss", "val/balanced_accuracy"):
        logged = whole.client.get_metric_history(whole.run_id, name)
        assert [metric.step for metric in logged] == list(range(EPOCHS))
        np.testing.assert_allclose([metric.value for metric in logged], whole.history[name], rtol=1e-12)
    assert whole.logged.metrics["train/learning_rate"] == pytest.approx(1e-3)
    test = {name.removeprefix("test/"): v for name, v in whole.logged.metrics.items() if name.startswith("test/")}
    assert test == whole.result["metrics"]
    assert {
        f"seconds/{step}" for step in ["prepare", "train", "evaluate", "explain", "measure", "plot", "total"]
    } <= set(whole.logged.metrics)


def test_parameters_say_what_was_done(whole, frozen):
    params = whole.logged.params
    assert (params["backbone"], params["fold"], params["model.size"]) == ("ncnn", str(FOLD), "34")
    counts = [int(params[f"n_{role}"]) for role in ("train", "validation", "test")]
    assert counts == [len(part) for part in (whole.rows.train, whole.rows.validation, whole.rows.test)]
    assert params["training.epochs"] == str(EPOCHS)
    assert params["trains_from"] == "images"
    assert params["parameters"] == params["trainable_parameters"]
    assert frozen.logged.params["trains_from"] == "frozen features at head_flatten"
    assert int(frozen.logged.params["trainable_parameters"]) < int(frozen.logged.params["parameters"])


def test_a_fit_that_diverges_fails_for_good_with_the_reason(pool, planned, images, tmp_path, store, new_run):
    training = {"optimizer": {"name": "sgd", "learning_rate": 1e30}, "batch_size": 2, "epochs": 5}
    plan = planned(images, tmp_path, training=training)
    with pytest.raises(JobFailed, match="the fit diverged") as caught:
        pool.do(plan.order("fold", ("ncnn", 0), store, new_run()), lambda _: None, timeout=600)
    assert caught.value.final


def test_an_image_that_is_gone_fails_for_good_and_is_named(pool, planned, images, tmp_path, store, new_run):
    root = shutil.copytree(images, tmp_path / "data")
    plan = planned(root, tmp_path / "cache")
    (root / "down" / "003.png").unlink()
    with pytest.raises(JobFailed, match=r"003\.png") as caught:
        pool.do(plan.order("fold", ("ncnn", 0), store, new_run()), lambda _: None, timeout=600)
    assert caught.value.final


def bench_of(plan, fold):
    material = read_material(plan.order("fold", ("ncnn", fold)))
    return Workshop().bench(material, "ncnn", fold, lambda _: None)


def weights_of(bench, *, head):
    layers = ("head_", "logits")
    return [w.numpy() for w in bench.built.model.weights if w.path.startswith(layers) == head]


def same(one, other):
    return [np.array_equal(a, b) for a, b in zip(one, other, strict=True)]


def test_without_freezing_every_fold_starts_from_weights_of_its_own(whole):
    first, second, again = (bench_of(whole.plan, fold) for fold in (0, 1, 0))
    kernels = [place for place, value in enumerate(weights_of(first, head=False)) if value.ndim > 1]
    assert kernels
    assert not any(same(weights_of(first, head=False), weights_of(second, head=False))[place] for place in kernels)
    assert all(same(weights_of(first, head=False), weights_of(again, head=False)))
    assert first.inputs.start is None
    assert first.inputs.rows is first.images


def test_a_frozen_base_starts_the_same_in_every_fold_and_its_head_does_not(frozen):
    first, second = bench_of(frozen.plan, 0), bench_of(frozen.plan, 1)
    assert all(same(weights_of(first, head=False), weights_of(second, head=False)))
    assert not all(same(weights_of(first, head=True), weights_of(second, head=True)))
    assert first.inputs.start == "head_flatten"
    assert first.inputs.rows.shape == (16, *first.built.model.get_layer("head_flatten").output.shape[1:])
    assert first.inputs.cam_start == "conv_2x2_"
    assert first.inputs.cam_rows.shape == (16, *first.built.model.get_layer("conv_2x2_").output.shape[1:])


def test_a_workshop_gives_the_next_fold_the_weights_of_a_new_one(whole):
    material = read_material(whole.plan.order("fold", ("ncnn", 0)))
    workshop = Workshop()
    first = workshop.bench(material, "ncnn", 0, lambda _: None)
    for variable in first.built.model.trainable_variables:
        variable.assign(variable + 1.0)
    again = workshop.bench(material, "ncnn", 1, lambda _: None)
    assert again is first
    fresh = bench_of(whole.plan, 1)
    assert all(same(weights_of(again, head=False), weights_of(fresh, head=False)))
    assert all(same(weights_of(again, head=True), weights_of(fresh, head=True)))


def course(bench, material, fold):
    rows, classes = material.rows(fold), material.manifest.classes
    history = bench.fitter.fit(bench.inputs.rows, material.manifest.y, rows.train, rows.validation, classes, seed=3)
    return history.drop(columns="seconds"), bench.explainers.on_features("gradcam")(bench.inputs.cam_rows[rows.test])[1]


def test_backbones_in_turn_give_what_each_gives_alone_and_are_built_once(planned, images, tmp_path):
    backbones = {"ncnn": {"freeze": "last_block"}, "vgg16": {"size": 32, "training": {"mixed_precision": True}}}
    plan = planned(images, tmp_path, backbones=backbones)
    plan.write()
    material = read_material(plan.order("fold", ("ncnn", 0)))
    workshop, turns = Workshop(), [("ncnn", 0), ("vgg16", 0), ("ncnn", 1), ("vgg16", 1)]
    benches = [workshop.bench(material, *cell, lambda _: None) for cell in turns]
    assert benches[2] is benches[0]
    assert benches[3] is benches[1]
    for cell in turns:
        found = course(workshop.bench(material, *cell, lambda _: None), material, cell[1])
        alone = course(Workshop().bench(material, *cell, lambda _: None), material, cell[1])
        assert found[0].equals(alone[0])
        np.testing.assert_array_equal(found[1], alone[1])


def test_a_workshop_parts_with_the_bench_not_used_for_longest_when_they_grow_too_large(whole, frozen, monkeypatch):
    materials = [read_material(run.plan.order("fold", ("ncnn", 0))) for run in (whole, frozen)]
    monkeypatch.setattr("tasks.workers.workshop.MOST_PARAMETERS", 1)
    workshop = Workshop()
    first = workshop.bench(materials[0], "ncnn", 0, lambda _: None)
    assert workshop.bench(materials[0], "ncnn", 1, lambda _: None) is first
    workshop.bench(materials[1], "ncnn", 0, lambda _: None)
    assert workshop.bench(materials[0], "ncnn", 0, lambda _: None) is not first


def test_a_full_store_or_augmentation_means_training_from_images(planned, images, tmp_path, pool):
    for number, changes in enumerate([{"cache": {"max_gb": 1e-5}}, {"training": {"augmentation": {"rotation": 5}}}]):
        plan = planned(images, tmp_path / str(number), backbones={"ncnn": {"freeze": "base"}}, **changes)
        bench = bench_of(plan, 0)
        assert bench.inputs.start is None
        assert bench.inputs.rows.dtype == np.uint8
        assert pool.do(plan.order("features", ("ncnn", -1)), lambda _: None)["images"] == 0

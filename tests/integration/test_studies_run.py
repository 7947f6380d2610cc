"""The shipped experiment files run on data laid out as their studies' was, with a tiny net; the record read back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

import flows
from flows.compare import Recorded
from flows.cross_validate import cross_validate
from tasks.dataset.array_store import ArrayStore
from tasks.experiment_file import read_experiment
from tasks.tracking.lookup import newest_experiment
from tests.support.kept_workers import kept_workers
from tests.support.readback import artifact, probabilities, table
from tests.support.studio import make_studio
from tests.support.study_layouts import (
    LEAF_LABELS,
    OCT_CLASSES,
    leaf_table,
    neonatal_folds,
    oct_folders,
    retina_arrays,
)

EXPERIMENTS = Path(flows.__file__).parent / "experiments"
FOLDS = (0, 4, 9)
"""Those of the ten neonatal folds that are run."""

GRADES = ["0", "1", "2", "3", "4"]
SMALL = [
    "model.weights=none",
    "model.head=null",
    "backbones={ncnn: {size: 34, freeze: none}}",
    "folds.n_splits=2",
    "training.epochs=2",
    "training.batch_size=8",
]
QUICK = [
    "explanation.max_images=2",
    "explanation.contact_sheet_images=3",
    "explanation.faithfulness_images=0",
    "comparison.figures=[png]",
    "runner.workers=1",
]


def ran(studio, name, write, settings, folds=None):
    """Run a shipped file on its layout: what it gave, and the runs of the one backbone by fold."""
    folder = write(studio.folder / "data")
    experiment = read_experiment(EXPERIMENTS / f"{name}.yaml", [f"data.path={folder}", *QUICK, *settings])
    with studio.inside(), kept_workers():
        result = cross_validate(experiment, backbones=["ncnn"], folds=folds)
    assert result.status == "completed", [fold.error for fold in result.failures]
    client, own = studio.client, result.backbones["ncnn"]
    return SimpleNamespace(
        client=client,
        folder=folder,
        cache=studio.folder / "cache",
        result=result,
        experiment=client.get_run(result.experiment_run_id),
        backbone=client.get_run(own.run_id),
        folds=[client.get_run(fold.run_id) for fold in own.folds],
    )


@pytest.fixture(scope="module")
def new_studio(tmp_path_factory, empty_store, prefect_api):
    return lambda name: make_studio(tmp_path_factory.mktemp(name), empty_store, prefect_api)


@pytest.fixture(scope="module")
def oct_run(new_studio):
    return ran(new_studio("oct"), "oct", oct_folders, SMALL)


@pytest.fixture(scope="module")
def leaf_run(new_studio):
    settings = ["backbones.ncnn.size=34", "folds.n_splits=2", "training.epochs=2", "training.batch_size=8"]
    settings += ["explanation.integrated_gradients.steps=6", "explanation.feature_maps=2"]
    return ran(new_studio("leaf"), "leaf", leaf_table, settings)


@pytest.fixture(scope="module")
def retina_run(new_studio):
    return ran(new_studio("retina"), "retina", retina_arrays, [*SMALL, "training.optimizer.learning_rate=0.003"])


@pytest.fixture(scope="module")
def neonatal_run(new_studio):
    """As the file has N-CNN, with its own augmentation, but smaller, for one epoch and on three of the ten folds."""
    settings = ["backbones.ncnn.size=34", "backbones.ncnn.training.epochs=1"]
    return ran(new_studio("neonatal"), "neonatal", neonatal_folds, settings, FOLDS)


def test_oct_gives_every_patient_one_fold_or_the_holdout(oct_run):
    folds = pd.read_csv(artifact(oct_run.client, oct_run.experiment, "folds.csv"))
    assert len(folds) == 80
    patient = folds["path"].str.extract(r"-(\d+)-")[0]
    assert (folds["fold"].groupby(patient).nunique(dropna=False) == 1).all()
    pooled = table(oct_run.client, oct_run.backbone, "oof_predictions.parquet")
    assert sorted(set(pooled["path"].str.split("/").str[0])) == ["train", "val"]
    assert len(pooled) == 64


def test_oct_scores_the_published_test_folder_once_by_all_folds(oct_run):
    held = [table(oct_run.client, run, "holdout_predictions.parquet") for run in oct_run.folds]
    assert all(path.startswith("test/") for path in held[0]["path"])
    mean = np.mean([probabilities(frame, list(OCT_CLASSES)) for frame in held], axis=0)
    expected = sk.accuracy_score(held[0]["true"], np.array(OCT_CLASSES)[mean.argmax(axis=1)])
    assert oct_run.backbone.data.metrics["holdout/accuracy"] == pytest.approx(expected)


def test_oct_logs_the_studys_figures(oct_run):
    wanted = ("accuracy", "roc_auc", "cohen_kappa", "f1_macro", "precision_macro", "recall_macro")
    for run in oct_run.folds:
        assert {f"test/{name}" for name in wanted} <= set(run.data.metrics)
        assert {f"test/f1/{label}" for label in OCT_CLASSES} <= set(run.data.metrics)
        assert run.data.params["training.augmentation.horizontal_flip"] == "True"


def test_leaf_has_integrated_gradients_that_say_their_gap_and_feature_maps(leaf_run):
    for run in leaf_run.folds:
        place = "explanations/integrated_gradients"
        gaps = pd.read_csv(artifact(leaf_run.client, run, f"{place}/completeness.csv"))
        assert (gaps["gap"] >= 0).all()
        logged = run.data.metrics["explain/integrated_gradients/completeness_gap"]
        assert logged == pytest.approx(gaps["gap"].median())
        figures = [file.path for file in leaf_run.client.list_artifacts(run.info.run_id, f"{place}/figures")]
        grids = [file.path for file in leaf_run.client.list_artifacts(run.info.run_id, "explanations/feature_maps")]
        assert 1 <= len(figures) == len(grids) <= 3
        assert len(leaf_run.client.list_artifacts(run.info.run_id, grids[0])) == 2


def test_leaf_decides_each_label_by_the_studys_threshold(leaf_run):
    thresholds = np.array([0.57, 0.41, 0.36, 0.37, 0.17])
    for run in leaf_run.folds:
        frame = table(leaf_run.client, run, "predictions.parquet")
        assert (frame[[f"threshold/{label}" for label in LEAF_LABELS]].to_numpy() == thresholds).all()
        above = probabilities(frame, list(LEAF_LABELS)) >= thresholds
        said = [" ".join(np.array(LEAF_LABELS)[row]) or "healthy" for row in above]
        assert frame["predicted"].tolist() == said
        assert [float(run.data.params[f"threshold/{label}"]) for label in LEAF_LABELS] == thresholds.tolist()


def test_leaf_logs_what_counts_with_several_labels(leaf_run):
    for run in leaf_run.folds:
        frame, logged = table(leaf_run.client, run, "predictions.parquet"), run.data.metrics
        true, said = (_given(frame[name]) for name in ("true", "predicted"))
        f1 = sk.f1_score(true, said, average=None, zero_division=0)
        assert logged["test/f1_macro"] == pytest.approx(f1.mean())
        assert [logged[f"test/f1/{label}"] for label in LEAF_LABELS] == pytest.approx(list(f1))
        assert logged["test/subset_accuracy"] == pytest.approx(sk.accuracy_score(true, said))
        assert logged["test/hamming_loss"] == pytest.approx(sk.hamming_loss(true, said))
        assert "test/accuracy" not in logged
        assert "train/loss" in logged


def test_leaf_predicts_every_leaf_once_over_all_folds(leaf_run):
    pooled = table(leaf_run.client, leaf_run.backbone, "oof_predictions.parquet")
    told = pd.read_csv(leaf_run.folder / "train.csv")
    assert sorted(pooled["path"]) == sorted("train_images/" + told["image"])
    assert leaf_run.result.metric == "f1_macro"


def test_retina_decides_grades_by_how_far_they_are_reached(retina_run):
    for run in retina_run.folds:
        for name in ("predictions.parquet", "holdout_predictions.parquet"):
            frame = table(retina_run.client, run, name)
            chances = probabilities(frame, GRADES)
            assert chances.sum(axis=1) == pytest.approx(1)
            reached = 1 - np.cumsum(chances, axis=1)[:, :-1]
            assert frame["predicted"].astype(int).tolist() == (reached > 0.5).sum(axis=1).tolist()


def test_retina_logs_figures_in_which_the_order_of_grades_counts(retina_run):
    frames = [table(retina_run.client, run, "predictions.parquet") for run in retina_run.folds]
    pooled = table(retina_run.client, retina_run.backbone, "oof_predictions.parquet")
    for frame, run, prefix in zip(
        [*frames, pooled], [*retina_run.folds, retina_run.backbone], ["test", "test", "oof"], strict=True
    ):
        true, said = frame["true"].astype(int), frame["predicted"].astype(int)
        kappa = sk.cohen_kappa_score(true, said, labels=range(5), weights="quadratic")
        assert run.data.metrics[f"{prefix}/quadratic_kappa"] == pytest.approx(kappa)
        distance = sk.mean_absolute_error(true, said)
        assert run.data.metrics[f"{prefix}/mean_absolute_error"] == pytest.approx(distance)
    assert retina_run.result.metric == "quadratic_kappa"


def test_retina_is_compared_by_a_figure_in_which_the_order_of_grades_counts(retina_run):
    found = Recorded(newest_experiment(retina_run.client, "retina"), None, None).to_json()
    assert found["metric"] == "quadratic_kappa"
    assert found["ranking"] == ["ncnn"]
    own, result = found["backbones"]["ncnn"], retina_run.result.backbones["ncnn"]
    for name in ("quadratic_kappa", "mean_absolute_error", "f1/0"):
        assert own["metrics"][name]["mean"] == pytest.approx(result.summaries[name].mean)
    assert own["holdout"]["quadratic_kappa"] == pytest.approx(result.holdout["quadratic_kappa"])


def test_retina_networks_see_black_outside_the_circle(retina_run):
    store = ArrayStore(retina_run.cache / "arrays", max_gb=1)
    [key] = [entry["key"] for entry in store.entries() if entry["what"] == "decoded images"]
    images = store.get(key)
    assert images.shape == (40, 34, 34, 3)
    assert images[:, [0, 0, -1, -1], [0, -1, 0, -1]].max() == 0
    assert images[:, 17, 17].max(axis=1).min() > 0


def test_retina_scores_the_validation_array_as_holdout_and_never_the_test_array(retina_run):
    held = table(retina_run.client, retina_run.folds[0], "holdout_predictions.parquet")
    pooled = table(retina_run.client, retina_run.backbone, "oof_predictions.parquet")
    assert {path.split("#")[0] for path in held["path"]} == {"validation.npy"}
    assert {path.split("#")[0] for path in pooled["path"]} == {"training.npy"}
    assert "holdout/quadratic_kappa" in retina_run.backbone.data.metrics


def test_neonatal_tests_each_folder_by_the_model_that_never_saw_it(neonatal_run):
    for fold, run in zip(FOLDS, neonatal_run.folds, strict=True):
        frame = table(neonatal_run.client, run, "predictions.parquet")
        assert {path.split("/")[0] for path in frame["path"]} == {f"fold_{fold + 1:02d}"}
        assert sorted(frame["true"]) == ["No_pain", "No_pain", "Pain", "Pain"]
        assert int(run.data.params["n_train"]) + int(run.data.params["n_validation"]) == 36
        assert run.data.params["training.augmentation.rotation"] == "30.0"
        optimizer = [run.data.params[f"training.optimizer.{key}"] for key in ("name", "learning_rate", "weight_decay")]
        assert optimizer == ["rmsprop", "0.0001", "1e-05"]


def test_neonatal_has_the_studys_table_of_right_and_wrong(neonatal_run):
    report = pd.read_csv(artifact(neonatal_run.client, neonatal_run.backbone, "report.csv"), sep=";", decimal=",")
    assert list(report.columns) == ["Fold", "Image", "Class", "Pred", "Conf", "Right?"]
    assert len(report) == 4 * len(FOLDS)
    assert report["Conf"].between(50, 100).all()


def _given(texts: pd.Series) -> np.ndarray:
    return np.array([[label in text.split() for label in LEAF_LABELS] for text in texts])

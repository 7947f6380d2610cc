"""The main job's record in MLflow, read back and computed again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk

from tasks.experiment_file import read_experiment
from tests.support.readback import artifact, probabilities, table

CLASSES = ["gesund", "kräftig rot", "Öl Fleck"]
BACKBONES = ["ncnn", "vgg16"]
N_FOLDS = 3
EPOCHS = 2
NAMES = [
    *("accuracy", "balanced_accuracy", "roc_auc", "average_precision", "f1_macro", "precision_macro"),
    *("recall_macro", "cohen_kappa", "matthews_corrcoef", "log_loss", "brier", "ece"),
]


def test_every_fold_of_every_backbone_is_completed(job):
    assert job.result.status == "completed"
    assert list(job.result.backbones) == BACKBONES
    assert job.result.runs["status"].tolist() == ["completed"] * 6
    assert sorted(job.result.ranking) == BACKBONES


def test_the_runs_stand_on_three_levels_below_each_other(job, runs):
    assert len(runs.all) == len(job.studio.runs()) == 1 + 2 + 6
    assert "mlflow.parentRunId" not in runs.experiment.data.tags
    for run in runs.backbones.values():
        assert run.data.tags["mlflow.parentRunId"] == runs.experiment.info.run_id
    for (backbone, fold), run in runs.folds.items():
        assert run.data.tags["mlflow.parentRunId"] == runs.backbones[backbone].info.run_id
        assert run.info.run_name == f"{backbone}/{fold}"


def test_every_run_has_ended_well_and_bears_its_tags(job, runs):
    levels = ["experiment", *["backbone"] * 2, *["fold"] * 6]
    for run, level in zip(runs.all, levels, strict=True):
        tags = run.data.tags
        assert run.info.status == "FINISHED"
        assert tags["foldcam.level"] == level
        assert tags["foldcam.status"] == "completed"
        assert tags["foldcam.version"]
        assert len(tags["foldcam.fingerprint"]) == 64
        assert tags["foldcam.data_digest"] == job.result.data_digest
    assert len({run.data.tags["foldcam.fingerprint"] for run in runs.all}) == 9
    for (backbone, fold), run in runs.folds.items():
        assert (run.data.tags["foldcam.backbone"], run.data.tags["foldcam.fold"]) == (backbone, str(fold))
    assert all(run.data.tags["foldcam.backbone"] == name for name, run in runs.backbones.items())


def test_parameters_are_the_flattened_experiment_file(runs):
    params = runs.experiment.data.params
    assert params["training.epochs"] == "2"
    assert params["training.optimizer.learning_rate"] == "0.001"
    assert params["folds.n_splits"] == "3"
    assert params["backbones.ncnn.size"] == "36"
    assert params["data.path"].endswith("/images")
    assert (
        runs.folds["ncnn", 1].data.params | {"fold": "1", "model.freeze": "none"} == runs.folds["ncnn", 1].data.params
    )
    assert runs.folds["vgg16", 0].data.params["model.freeze"] == "base"


def test_a_fold_run_has_every_epoch_of_every_figure(job, runs):
    for run in runs.folds.values():
        for name in (
            "train/loss",
            "val/loss",
            "train/accuracy",
            "val/balanced_accuracy",
            "train/learning_rate",
            "train/seconds",
        ):
            history = job.client.get_metric_history(run.info.run_id, name)
            assert sorted(point.step for point in history) == list(range(EPOCHS)), name
        frame = pd.read_csv(artifact(job.client, run, "history.csv"))
        logged = {m.step: m.value for m in job.client.get_metric_history(run.info.run_id, "val/loss")}
        assert frame["val/loss"].tolist() == [logged[epoch] for epoch in frame["epoch"]]


def test_test_metrics_are_scikit_learns_on_the_logged_predictions(job, runs):
    for run in runs.folds.values():
        frame, logged = table(job.client, run, "predictions.parquet"), run.data.metrics
        y, y_prob = frame["true"], probabilities(frame, CLASSES)
        assert logged["test/accuracy"] == pytest.approx(sk.accuracy_score(y, frame["predicted"]))
        assert logged["test/balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, frame["predicted"]))
        assert logged["test/log_loss"] == pytest.approx(sk.log_loss(y, y_prob, labels=CLASSES))
        f1 = sk.f1_score(y, frame["predicted"], labels=CLASSES, average=None, zero_division=0)
        assert [logged[f"test/f1/{label}"] for label in CLASSES] == pytest.approx(list(f1))
        assert {f"test/{name}" for name in NAMES} <= set(logged)


def test_figures_over_folds_are_recomputed_from_the_fold_runs(job, runs):
    for backbone, run in runs.backbones.items():
        folds = [runs.folds[backbone, fold] for fold in range(N_FOLDS)]
        ratio = np.mean([int(f.data.params["n_test"]) / int(f.data.params["n_train"]) for f in folds])
        for metric in ("accuracy", "log_loss", "recall/kräftig rot"):
            values = [fold.data.metrics[f"test/{metric}"] for fold in folds]
            mean, std = np.mean(values), np.std(values, ddof=1)
            half = stats.t.ppf(0.975, N_FOLDS - 1) * std * np.sqrt(1 / N_FOLDS + ratio)
            highest = np.inf if metric == "log_loss" else 1
            expected = {"mean": mean, "std": std, "ci_low": max(0, mean - half), "ci_high": min(highest, mean + half)}
            found = {part: run.data.metrics[f"cv/{metric}_{part}"] for part in expected}
            assert found == pytest.approx(expected)
            assert runs.experiment.data.metrics[f"{backbone}/{metric}"] == pytest.approx(mean)


def test_out_of_fold_metrics_are_scikit_learns_on_the_pooled_predictions(job, runs):
    for run in runs.backbones.values():
        frame, logged = table(job.client, run, "oof_predictions.parquet"), run.data.metrics
        y, y_prob = frame["true"], probabilities(frame, CLASSES)
        assert len(frame) == 25
        assert frame["path"].is_unique
        assert logged["oof/accuracy"] == pytest.approx(sk.accuracy_score(y, frame["predicted"]))
        area = np.mean([sk.roc_auc_score(y == label, y_prob[:, place]) for place, label in enumerate(CLASSES)])
        assert logged["oof/roc_auc"] == pytest.approx(area)
        assert logged["oof/matthews_corrcoef"] == pytest.approx(sk.matthews_corrcoef(y, frame["predicted"]))


def test_the_holdout_is_scored_once_by_the_ensemble_of_the_folds(job, runs):
    for backbone, run in runs.backbones.items():
        parts = [
            table(job.client, runs.folds[backbone, fold], "holdout_predictions.parquet") for fold in range(N_FOLDS)
        ]
        mean = np.mean([probabilities(part.sort_values("path"), CLASSES) for part in parts], axis=0)
        true = parts[0].sort_values("path")["true"]
        predicted = np.array(CLASSES)[mean.argmax(axis=1)]
        assert len(true) == 7
        assert all(path.startswith("test/") for path in parts[0]["path"])
        assert run.data.metrics["holdout/accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
        assert run.data.metrics["holdout/log_loss"] == pytest.approx(sk.log_loss(true, mean, labels=CLASSES))


def test_training_validation_and_test_images_are_disjoint(job):
    from tasks.planning import load_plan

    with job.studio.inside():
        plan = load_plan(read_experiment(job.file))
    tested = np.concatenate([rows.test for rows in plan.rows])
    assert sorted(tested) == sorted(np.flatnonzero(plan.fold_of_row >= 0))
    for rows in plan.rows:
        parts = [set(rows.train), set(rows.validation), set(rows.test), set(rows.holdout)]
        assert all(parts)
        assert len(set.union(*parts)) == sum(map(len, parts)) == 32

"""Several labels an image, run whole with a holdout and tuned thresholds: decisions, record, comparison, resumption."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from flows.cross_validate import cross_validate
from tasks.dataset.targets import Targets
from tasks.evaluation.metrics import metrics_of, score
from tasks.evaluation.outputs import decide
from tests.support.command import foldcam
from tests.support.kept_workers import kept_workers
from tests.support.readback import artifact, probabilities, table
from tests.support.studio import one_json, quick
from tests.support.study_layouts import LEAF_LABELS, leaf_table

LABELS = list(LEAF_LABELS)
TARGETS = Targets(LEAF_LABELS, "multilabel", " ", "healthy")
HELD_OUT = 10
SETTINGS = {
    "name": "leaves",
    "data": {"path": "leaves", "labels": {"kind": "multilabel", "none_label": "healthy"}, "classes": LABELS},
    "folds": {"n_splits": 2, "validation_fraction": 0.5},
    "backbones": {
        "ncnn": {"size": 34, "freeze": "none", "training": {"mixed_precision": True}},
        "vgg16": {
            "size": 32,
            "training": {"augmentation": {"horizontal_flip": True, "mode": "cached", "variants": 2}},
        },
    },
    "training": {"epochs": 2, "batch_size": 8, "class_weights": "balanced"},
    "evaluation": {"thresholds": "tuned"},
    "runner": {"workers": 1},
}


@pytest.fixture(scope="module")
def leaves(studio):
    """The whole job, then again with one fold run deleted: what both gave, and the tables and runs of the first."""
    folder = leaf_table(studio.folder / "leaves", copies=5)
    rows = pd.read_csv(folder / "train.csv")
    rows["split"] = np.where(np.arange(len(rows)) < len(rows) - HELD_OUT, "train", "test")
    rows.to_csv(folder / "train.csv", index=False)
    file = studio.write(quick("leaves", **SETTINGS))
    client = studio.client
    with studio.inside(), kept_workers():
        first = cross_validate(file)
        assert first.status == "completed", [fold.error for fold in first.failures]
        runs = {name: [client.get_run(fold.run_id) for fold in own.folds] for name, own in first.backbones.items()}
        held = {name: [table(client, run, "holdout_predictions.parquet") for run in own] for name, own in runs.items()}
        tests = {name: [table(client, run, "predictions.parquet") for run in own] for name, own in runs.items()}
        client.delete_run(runs["vgg16"][1].info.run_id)
        again = cross_validate(file)
    return SimpleNamespace(
        studio=studio, client=client, first=first, again=again, runs=runs, held=held, tests=tests, rows=rows
    )


def thresholds_in(frame):
    found = frame[[f"threshold/{label}" for label in LABELS]].to_numpy()
    assert (found == found[0]).all()
    return found[0]


def test_every_fold_decides_test_and_holdout_by_its_own_tuned_thresholds(leaves):
    tuned = []
    for name, runs in leaves.runs.items():
        for run, test, held in zip(runs, leaves.tests[name], leaves.held[name], strict=True):
            thresholds = thresholds_in(test)
            np.testing.assert_array_equal(thresholds_in(held), thresholds)
            logged = [float(run.data.params[f"threshold/{label}"]) for label in LABELS]
            np.testing.assert_allclose(logged, thresholds, rtol=1e-12)
            for frame in (test, held):
                decided = decide(probabilities(frame, LABELS), "multilabel", thresholds)
                assert frame["predicted"].tolist() == TARGETS.texts(decided)
            tuned.append(tuple(thresholds))
    assert len(set(tuned)) == len(tuned)


@pytest.mark.parametrize("name", ["ncnn", "vgg16"])
def test_the_ensemble_decides_by_mean_probabilities_and_mean_thresholds(leaves, name):
    held = leaves.held[name]
    assert all(frame["path"].tolist() == held[0]["path"].tolist() for frame in held)
    assert sorted(held[0]["path"]) == sorted("train_images/" + leaves.rows["image"].iloc[-HELD_OUT:])
    mean = np.mean([probabilities(frame, LABELS) for frame in held], axis=0)
    at = np.mean([thresholds_in(frame) for frame in held], axis=0)
    y = TARGETS.numbers(held[0]["true"].tolist())
    expected = score(y, mean, LABELS, kind="multilabel", y_pred=decide(mean, "multilabel", at))
    own = leaves.first.backbones[name]
    assert own.holdout == pytest.approx(expected)
    logged = leaves.client.get_run(own.run_id).data.metrics
    assert {key: logged[f"holdout/{key}"] for key in expected} == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ncnn", "vgg16"])
def test_losses_are_numbers_in_mixed_precision_and_on_cached_variants(leaves, name):
    for run in leaves.runs[name]:
        history = pd.read_csv(artifact(leaves.client, run, "history.csv"))
        assert len(history) == 2
        assert np.isfinite(history[["train/loss", "val/loss"]].to_numpy()).all()
        said = run.data.params["trains_from"]
        assert ("2 fixed variants of each image" in said) == (name == "vgg16")
        assert run.data.params["training.mixed_precision"] == str(name == "ncnn")


def test_the_record_has_the_names_of_several_labels_and_no_others(leaves):
    by_label = {f"{part}/{label}" for part in ("f1", "precision", "recall", "roc_auc") for label in LABELS}
    for name, own in leaves.first.backbones.items():
        for run, test in zip(leaves.runs[name], leaves.tests[name], strict=True):
            logged = run.data.metrics
            names = {key.removeprefix("test/") for key in logged if key.startswith("test/")}
            assert set(metrics_of("multilabel")) <= names <= {*metrics_of("multilabel"), *by_label}
            true, said = (TARGETS.numbers(test[part].tolist()) for part in ("true", "predicted"))
            assert logged["test/subset_accuracy"] == pytest.approx(sk.accuracy_score(true, said))
            assert logged["test/hamming_loss"] == pytest.approx(sk.hamming_loss(true, said))
            assert run.data.tags["foldcam.level"] == "fold"
            assert run.data.tags["foldcam.status"] == "completed"
        found = leaves.client.get_run(own.run_id)
        parts = {f"cv/{metric}_{part}" for metric in ("f1_macro", "f1/rust") for part in ("mean", "std", "ci_low")}
        assert parts | {"oof/subset_accuracy", "oof/hamming_loss", "oof/f1/rust"} <= set(found.data.metrics)
        assert not {key for key in found.data.metrics if "balanced_accuracy" in key}
    experiment = leaves.client.get_run(leaves.first.experiment_run_id).data
    assert experiment.params["evaluation.metric"] == "f1_macro"
    assert experiment.params["evaluation.thresholds"] == "tuned"
    assert experiment.tags["best_backbone"] == leaves.first.ranking[0]
    assert {"ncnn/subset_accuracy", "vgg16/f1_macro"} <= set(experiment.metrics)


def test_compare_ranks_by_the_metric_of_several_labels(leaves):
    with leaves.studio.inside():
        found, shown = one_json(foldcam("compare", "leaves", "--json").out), foldcam("compare", "leaves")
    assert found["metric"] == "f1_macro"
    assert found["ranking"] == leaves.again.ranking
    means = {name: own["metrics"]["f1_macro"]["mean"] for name, own in found["backbones"].items()}
    assert found["ranking"] == sorted(means, key=lambda name: -means[name])
    for name, own in found["backbones"].items():
        result = leaves.first.backbones[name]
        assert set(own["metrics"]) == set(result.summaries)
        assert own["metrics"]["f1/rust"]["mean"] == pytest.approx(result.summaries["f1/rust"].mean)
        assert own["oof"] == pytest.approx(dict(result.pooled))
        assert own["holdout"] == pytest.approx(dict(result.holdout))
    assert shown.code == 0
    assert "f1_macro" in shown.out or "F1 (macro)" in shown.out


def test_a_second_call_does_the_deleted_fold_run_alone_and_comes_to_the_same(leaves):
    statuses = {name: [fold.status for fold in own.folds] for name, own in leaves.again.backbones.items()}
    assert statuses == {"ncnn": ["reused", "reused"], "vgg16": ["reused", "completed"]}
    assert leaves.again.experiment_run_id == leaves.first.experiment_run_id
    pd.testing.assert_frame_equal(leaves.again.out_of_fold, leaves.first.out_of_fold)
    for name, own in leaves.again.backbones.items():
        assert own.holdout == leaves.first.backbones[name].holdout
        assert own.summaries == leaves.first.backbones[name].summaries

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.backbone import backbone_content, gather, summaries
from tasks.comparison.experiment import table
from tasks.comparison.looks.content import Seen
from tasks.comparison.report.experiment_report import report
from tasks.comparison.results import FoldResult
from tasks.config import Experiment
from tasks.dataset.folds.assignment import FoldRows
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import Targets
from tasks.evaluation.metrics import metrics_of, score
from tasks.evaluation.outputs import class_probabilities, decide
from tasks.evaluation.tables import predictions_table
from tasks.workers.plan import Plan

N, HELD_OUT, SPLITS, REPEATS = 12, 6, 2, 2
TARGETS = {
    "multiclass": Targets(("cat", "dog", "owl")),
    "ordinal": Targets(("0", "1", "2"), "ordinal"),
    "multilabel": Targets(("rust", "scab", "spot"), "multilabel", none_label="healthy"),
}
THRESHOLDS = np.array([0.3, 0.5, 0.7])


def planned(kind, root):
    targets, rng = TARGETS[kind], np.random.default_rng(3)
    every = np.arange(N + HELD_OUT) % 3
    y = (rng.random((len(every), 3)) < 0.5).astype(np.int64) if kind == "multilabel" else every
    images = pd.DataFrame({"path": [f"{i:02}.png" for i in range(len(y))], "label": targets.texts(y), "group": None})
    images = images.assign(split=None, fold=None, sha256=images["path"], width=8, height=8)
    manifest = Manifest(images, root, targets, pd.DataFrame(columns=["path", "reason"]))
    folds = np.full((len(y), REPEATS), -1)
    for repeat in range(REPEATS):
        folds[:N, repeat] = SPLITS * repeat + rng.permutation(np.arange(N) % SPLITS)
    rows = tuple(
        FoldRows(
            train=np.flatnonzero((folds[:, fold // SPLITS] >= 0) & (folds[:, fold // SPLITS] != fold)),
            validation=np.array([], dtype=np.int64),
            test=np.flatnonzero((folds == fold).any(axis=1)),
            holdout=np.arange(N, N + HELD_OUT),
        )
        for fold in range(SPLITS * REPEATS)
    )
    labels = {"kind": kind} | ({"none_label": "healthy"} if kind == "multilabel" else {})
    experiment = Experiment(name="a", data={"path": root, "labels": labels}, backbones=["ncnn"])
    return Plan(experiment, manifest, folds, rows, {}, "f" * 64, root, root)


def finished(plan, root):
    """Write the tables of every fold run; give the runs and, by fold, the probabilities of all images."""
    targets, names = plan.manifest.targets, plan.manifest.table["path"].tolist()
    given = THRESHOLDS if targets.kind == "multilabel" else None
    probabilities = []
    for fold, rows in enumerate(plan.rows):
        outputs = np.random.default_rng(fold).random((N + HELD_OUT, 3))
        probabilities.append(class_probabilities(outputs, targets.kind))
        (root / f"run{fold}").mkdir()
        for name, part in (("predictions", rows.test), ("holdout_predictions", rows.holdout)):
            own, y = probabilities[-1][part], plan.manifest.y[part]
            paths = [names[row] for row in part]
            decided = decide(own, targets.kind, 0.5 if given is None else given)
            predicted = predictions_table(paths, paths, fold, y, own, targets, decided, given)
            predicted.to_parquet(root / f"run{fold}" / f"{name}.parquet", index=False)
    metrics = dict.fromkeys(metrics_of(targets.kind), 0.5)
    runs = [FoldResult("ncnn", fold, "completed", f"run{fold}", metrics=metrics) for fold in range(plan.n_folds)]
    return runs, np.array(probabilities)


@pytest.mark.parametrize("kind", list(TARGETS))
def test_a_backbones_repeats_and_holdout_are_scored_by_kind_on_mean_probabilities(kind, tmp_path):
    plan = planned(kind, tmp_path)
    runs, probabilities = finished(plan, tmp_path)
    result = gather(plan, "ncnn", "run", runs, lambda run, name: tmp_path / run / name)
    mean = np.mean([probabilities[plan.folds_of_row[:N, r], np.arange(N)] for r in range(REPEATS)], axis=0)
    at = THRESHOLDS if kind == "multilabel" else 0.5
    y, classes = plan.manifest.y, plan.manifest.classes
    assert result.out_of_fold["path"].tolist() == plan.manifest.table["path"].tolist()[:N]
    assert result.out_of_fold["fold"].tolist() == plan.folds_of_row[:N, 0].tolist()
    np.testing.assert_allclose(result.out_of_fold[[f"prob/{name}" for name in classes]], mean)
    expected = score(y[:N], mean, classes, kind=kind, y_pred=decide(mean, kind, at))
    assert result.pooled == pytest.approx(expected)
    ensemble = probabilities[:, N:].mean(axis=0)
    expected = score(y[N:], ensemble, classes, kind=kind, y_pred=decide(ensemble, kind, at))
    assert result.holdout == pytest.approx(expected)
    assert result.summaries[plan.experiment.metric].n_defined == SPLITS * REPEATS


def test_a_failed_fold_leaves_its_images_to_the_other_repeat(tmp_path):
    plan = planned("multiclass", tmp_path)
    runs, probabilities = finished(plan, tmp_path)
    runs[0] = FoldResult("ncnn", 0, "failed")
    result = gather(plan, "ncnn", "run", runs, lambda run, name: tmp_path / run / name)
    lost = plan.folds_of_row[:N, 0] == 0
    own = probabilities[plan.folds_of_row[:N, 1], np.arange(N)]
    assert len(result.out_of_fold) == N
    np.testing.assert_allclose(result.out_of_fold.loc[lost, "prob/cat"], own[lost, 0])
    assert result.holdout == {}


@pytest.mark.parametrize("kind", list(TARGETS))
def test_a_backbones_tables_plots_and_report_are_written_for_every_kind(kind, tmp_path):
    plan = planned(kind, tmp_path)
    runs, _ = finished(plan, tmp_path)
    result = gather(plan, "ncnn", "run", runs, lambda run, name: tmp_path / run / name)
    folder = tmp_path / "content"
    folder.mkdir()
    assert len(list(backbone_content(plan, result, folder))) > len(result.summaries)
    plots = {"confusion_matrix.png", "roc.png", "precision_recall.png", "calibration.png"}
    assert {file.name for file in (folder / "plots").iterdir()} == plots
    assert len(pd.read_csv(folder / "report.csv", sep=";")) == N
    assert f"{plan.experiment.metric}_mean" in table(plan, {"ncnn": result})
    audit = folder / "audit.json"
    audit.write_text('{"findings": []}', encoding="utf-8")
    said = {"has_gallery": False, "warnings": [], "seconds": 1.0, "tracking_uri": "", "run_id": ""}
    page = report(plan, {"ncnn": result}, Seen(), {}, [], {}, audit=audit, **said)
    assert f"{N} images in {SPLITS} folds, cut {REPEATS} times" in page
    assert f"{HELD_OUT} holdout images" in page
    assert ("An image counts for each of its labels." in page) == (kind == "multilabel")


def test_figures_of_single_classes_stand_in_the_order_of_the_classes(tmp_path):
    plan = planned("ordinal", tmp_path)
    plan = replace(plan, manifest=replace(plan.manifest, targets=Targets(("mild", "severe", "fatal"), "ordinal")))
    names = ["f1/fatal", "f1/mild", "accuracy", "f1_macro", "f1/severe"]
    found = summaries(plan, [FoldResult("ncnn", 0, "completed", "run0", metrics=dict.fromkeys(names, 0.5))])
    assert list(found) == ["accuracy", "f1/mild", "f1/severe", "f1/fatal", "f1_macro"]


def test_the_interval_of_the_mean_error_ends_at_the_outer_grades(tmp_path):
    plan = planned("ordinal", tmp_path)
    runs, _ = finished(plan, tmp_path)
    runs = [
        FoldResult("ncnn", run.fold, "completed", run.run_id, metrics={"mean_absolute_error": value})
        for run, value in zip(runs, (0.0, 2.0, 0.0, 2.0), strict=True)
    ]
    found = gather(plan, "ncnn", "run", runs, lambda run, name: Path(tmp_path) / run / name)
    summary = found.summaries["mean_absolute_error"]
    assert (summary.ci_low, summary.ci_high) == (0, 2)

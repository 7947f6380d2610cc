"""Where one backbone looks, from what its fold runs have logged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.looks.content import backbone_looks
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.looking import Looks, look, right_of, told_probabilities
from tasks.dataset.targets import Targets
from tasks.tracking.records import File, Metrics
from tests.support.explained_runs import ExplainedRuns, bump

FAITHFUL = {"overall": 0.5, "overall_random": 0.0, "overall_gaussian": 0.1, "sanity_rank": 0.05}


def looks_of(runs, backbone="ncnn", folds=(0, 1), **more):
    return look(runs.plan, FoldExplanations.of(runs.result(backbone, list(folds)), runs.fetch), **more)


def test_measures_and_shares_are_means_over_the_images_of_all_folds(tmp_path):
    runs = ExplainedRuns(tmp_path)
    runs.write("ncnn", 0, truth=FAITHFUL)
    runs.write("ncnn", 1, truth=FAITHFUL | {"overall": 0.3})
    found = looks_of(runs, seconds_share=0.25)
    tables = [pd.read_parquet(runs.fetch(f"ncnn-{fold}", "explanations/truth.parquet")) for fold in (0, 1)]
    overall = pd.concat(tables)["overall"].mean()
    assert found.metrics["explain/gradcam/overall"] == pytest.approx(overall)
    low, high = (found.metrics[f"explain/gradcam/overall_{end}"] for end in ("low", "high"))
    assert low < overall < high
    assert found.verdicts["gradcam"].beats_controls
    assert found.location["fold"].tolist() == [0] * 15 + [1] * 15
    assert found.metrics["explain/gradcam/border"] == pytest.approx(found.location["border"].mean())
    assert set(found.where["class"]) == {"a", "b", "c"}
    assert found.seconds_share == 0.25


def test_mean_maps_are_those_of_all_folds_images_right_and_wrong_apart(tmp_path):
    runs = ExplainedRuns(tmp_path)
    for fold in (0, 1):
        runs.write("ncnn", fold, corners=("b",), wrong=(1, 3, 4))
    means = looks_of(runs).means["gradcam"]
    assert (means.n_right + means.n_wrong).tolist() == [10, 10, 10]
    assert means.n_wrong.tolist() == [1, 2, 0]
    assert np.unravel_index(means.right[1].argmax(), (10, 10)) in {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert np.unravel_index(means.right[0].argmax(), (10, 10)) in {(4, 4), (4, 5), (5, 4), (5, 5)}


def test_a_class_at_whose_corner_the_model_looks_is_found_and_the_others_are_not(tmp_path):
    runs = ExplainedRuns(tmp_path, n_images=60)
    for fold in (0, 1):
        runs.write("ncnn", fold, corners=("b",))
        runs.write("vgg16", fold)
    found = looks_of(runs).found["gradcam"]
    assert {(one.code, one.label) for one in found} == {("explain.corner", "b"), ("explain.border", "b")}
    assert next(one for one in found if one.place == "corner").corner == "top left"
    assert looks_of(runs, "vgg16").found["gradcam"] == ()


def test_folds_that_agree_on_the_holdout_have_an_agreement_of_one(tmp_path):
    runs = ExplainedRuns(tmp_path)
    maps = np.random.default_rng(0).random((8, 6, 6)).astype(np.float32)
    for fold in (0, 1):
        runs.write("ncnn", fold)
        runs.write_holdout("ncnn", fold, maps, np.arange(8) % 3)
        runs.write("vgg16", fold)
        runs.write_holdout("vgg16", fold, maps, np.arange(8) % 3 if fold else np.zeros(8, int))
    assert looks_of(runs).metrics["explain/gradcam/holdout_agreement"] == pytest.approx(1)
    assert "gradcam" not in looks_of(runs, "vgg16").holdout
    assert "gradcam" not in looks_of(runs, folds=(1,)).holdout


def test_an_image_of_several_repeats_is_looked_at_once_and_its_rows_count_as_one_group(tmp_path):
    runs = ExplainedRuns(tmp_path, n_repeats=2)
    for fold in range(4):
        runs.write("ncnn", fold, corners=() if fold < 2 else ("a", "b", "c"), truth=FAITHFUL)
    found = looks_of(runs, folds=range(4))
    assert len(found.location) == 60
    means = found.means["gradcam"]
    assert (means.n_right + means.n_wrong).sum() == 30
    assert means.right[0][5, 5] > means.right[0][0, 0]
    assert found.where.loc[found.where["outcome"] == "all", "n_images"].sum() == 30
    assert found.verdicts["gradcam"].overall.n_groups == 30


def test_fold_runs_that_logged_nothing_of_it_give_nothing(tmp_path):
    runs = ExplainedRuns(tmp_path)
    for fold in (0, 1):
        runs.write("ncnn", fold)
        for path in runs.fetch(f"ncnn-{fold}", "explanations").rglob("*.*"):
            path.unlink()
    found = looks_of(runs)
    assert (found.methods, dict(found.metrics), found.truth, found.location) == ([], {}, None, None)
    assert list(backbone_looks(found, tmp_path)) == []
    assert looks_of(runs, folds=()).methods == []

    def missing(run_id, artifact):
        raise FileNotFoundError(artifact)

    logged = FoldExplanations({0: "run"}, missing)
    assert logged.maps(0, "gradcam") is None
    assert logged.table("truth") is None


def test_one_fold_run_of_an_older_version_leaves_the_others_in_place(tmp_path):
    runs = ExplainedRuns(tmp_path)
    for fold in (0, 1):
        runs.write("ncnn", fold, truth=FAITHFUL)
    for path in runs.fetch("ncnn-0", "explanations").rglob("*.*"):
        path.unlink()
    found = looks_of(runs)
    assert set(found.location["fold"]) == {1}
    assert (found.means["gradcam"].n_right + found.means["gradcam"].n_wrong).sum() == 15


def test_nothing_is_read_where_nothing_is_explained(tmp_path):
    runs = ExplainedRuns(tmp_path, settings={"max_images": 0})
    found = look(runs.plan, FoldExplanations({0: "run"}, lambda *_: pytest.fail("nothing to fetch")))
    assert found.methods == []


def test_with_several_labels_a_map_counts_for_the_label_that_it_explains(tmp_path):
    runs = ExplainedRuns(tmp_path, classes=("rust", "scab"), kind="multilabel", n_images=40)
    for fold in (0, 1):
        runs.write("ncnn", fold, corners=("scab",))
    found = looks_of(runs)
    assert {one.label for one in found.found["gradcam"]} == {"scab"}
    assert found.means["gradcam"].n_right.tolist() == [20, 20]


def test_with_several_labels_right_is_the_decision_on_the_explained_one():
    targets = Targets(("rust", "scab"), "multilabel")
    told = pd.DataFrame({"true": ["rust scab", "rust"], "predicted": ["rust", "scab"]})
    assert right_of(targets, told, np.array([0, 1])).tolist() == [True, False]
    probabilities = told.assign(**{"prob/rust": [0.9, 0.2], "prob/scab": [0.3, 0.8]})
    assert told_probabilities(targets, probabilities, np.array([0, 1])).tolist() == [0.9, 0.8]
    single = Targets(("a", "b"))
    told = pd.DataFrame({"true": ["a", "a"], "predicted": ["a", "b"], "prob/a": [0.7, 0.4], "prob/b": [0.3, 0.6]})
    assert right_of(single, told, np.array([0, 0])).tolist() == [True, False]
    assert told_probabilities(single, told, np.array([0, 0])).tolist() == [0.7, 0.6]


def test_the_backbones_run_gets_metrics_and_tables(tmp_path):
    runs = ExplainedRuns(tmp_path)
    maps = np.stack([bump(False, seed) for seed in range(8)])
    for fold in (0, 1):
        runs.write("ncnn", fold, truth=FAITHFUL)
        runs.write_holdout("ncnn", fold, maps, np.zeros(8, int))
    records = list(backbone_looks(looks_of(runs, seconds_share=0.125), tmp_path))
    metrics = {
        name: value for record in records if isinstance(record, Metrics) for name, value in record.values.items()
    }
    assert metrics["explain/seconds_share"] == 0.125
    assert {"explain/gradcam/overall", "explain/gradcam/overall_low", "explain/gradcam/holdout_agreement"} <= set(
        metrics
    )
    assert np.isfinite(list(metrics.values())).all()
    files = {f"{record.folder}/{record.path.name}" for record in records if isinstance(record, File)}
    assert files == {f"explanations/{name}" for name in ("truth.parquet", "location.parquet", "holdout_agreement.csv")}
    assert pd.read_parquet(tmp_path / "truth.parquet").columns[:3].tolist() == ["fold", "path", "group"]


def test_looks_of_nothing_are_empty():
    assert Looks().methods == []

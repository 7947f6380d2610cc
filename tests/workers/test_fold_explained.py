"""What a fold run leaves of its explanations: maps by every method, overlays of them, and maps of the holdout."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.dataset.targets import Targets
from tasks.explanation.building import in_colours
from tasks.explanation.map_files import read_maps
from tasks.explanation.overlays import overlay
from tasks.explanation.predictions import Predicted
from tasks.workers.decisions import Outcome
from tasks.workers.fold_completeness import completeness_metrics
from tasks.workers.fold_explained import explain_fold
from tasks.workers.fold_maps import classes_to_explain, holdout_sample, make_maps, maps_while_predicting
from tasks.workers.order import read_material
from tasks.workers.workshop import Workshop
from tests.support.images import write_classes

METHODS = ["eigencam", "gradcam", "saliency"]
SETTINGS = {
    "explanation": {"methods": METHODS, "max_images": None, "contact_sheet_images": 4, "faithfulness_images": 3},
    "backbones": {"ncnn": {"freeze": "base"}},
}


@pytest.fixture(scope="module")
def split_images(tmp_path_factory):
    root = tmp_path_factory.mktemp("split") / "data"
    write_classes(root / "train", {"große Äpfel": 9, "other": 8})
    write_classes(root / "test", {"große Äpfel": 4, "other": 3}, seed=5, size=(24, 60))
    return root


@pytest.fixture(scope="module")
def bench_of(planned, split_images, tmp_path_factory):
    """Give a function that gives a fold's material, rows and bench."""

    def make(fold=1, **explanation):
        settings = SETTINGS | {"explanation": SETTINGS["explanation"] | explanation}
        plan = planned(split_images, tmp_path_factory.mktemp("cache"), **settings)
        material = read_material(plan.order("fold", ("ncnn", fold)))
        bench = Workshop().bench(material, "ncnn", fold, lambda _: None)
        return material, plan.rows[fold], bench

    return make


def outcome_of(material, rows, bench):
    method = bench.explainers.on_features("gradcam")
    probabilities, maps = method(bench.inputs.cam_rows[rows.test])
    test = Predicted(rows.test, probabilities.astype(float), rows.test, maps)
    return Outcome("multiclass", test, test, test, None)


@pytest.fixture(scope="module")
def explained(bench_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explanations")
    material, rows, bench = bench_of()
    outcome = outcome_of(material, rows, bench)
    found = explain_fold(folder, material, bench, rows, 1, outcome)
    return SimpleNamespace(folder=folder, material=material, rows=rows, bench=bench, outcome=outcome, found=found)


def test_every_method_leaves_a_map_and_an_overlay_of_each_test_image(explained):
    paths = explained.material.manifest.table["path"].iloc[explained.rows.test].tolist()
    likeliest = explained.outcome.test.probabilities.argmax(axis=1)
    assert list(explained.found.maps) == METHODS
    for name in METHODS:
        stored = read_maps(explained.folder / name / "maps.npz")
        assert stored.paths.tolist() == paths
        assert stored.classes.tolist() == likeliest.tolist()
        assert np.isfinite(stored.maps).all()
        assert stored.maps.any()
        assert len(list((explained.folder / name).rglob("*.png"))) == len(paths)
    layer = read_maps(explained.folder / "gradcam" / "maps.npz").layer
    assert layer == explained.bench.built.cam_layer
    assert read_maps(explained.folder / "saliency" / "maps.npz").layer == ""


def test_sheets_and_feature_maps_are_there_and_differ(bench_of, tmp_path):
    material, rows, bench = bench_of(feature_maps=2, methods=["gradcam"], target="true")
    outcome = outcome_of(material, rows, bench)
    found = explain_fold(tmp_path, material, bench, rows, 1, outcome)
    outcomes = {"right": found.good.any(), "wrong": not found.good.all()}
    expected = {"contact_sheet.png", "classes.png"} | {f"{name}.png" for name, there in outcomes.items() if there}
    assert {file.name for file in tmp_path.glob("*.png")} == expected
    assert len({file.read_bytes() for file in tmp_path.glob("*.png")}) == len(expected)
    grids = list((tmp_path / "feature_maps").rglob("*.png"))
    images = {file.parent.name for file in grids}
    assert len(grids) == 2 * len(images)
    assert 1 <= len(images) <= 3


def test_right_and_wrong_lie_apart_in_every_methods_folder(explained):
    y = explained.material.manifest.y[explained.rows.test]
    n_right = int((explained.outcome.test.probabilities.argmax(axis=1) == y).sum())
    for name in METHODS:
        assert len(list((explained.folder / name / "right").glob("*"))) == n_right
    assert int(explained.found.good.sum()) == n_right


def test_an_overlay_is_the_picture_under_the_logged_map(explained):
    stored = read_maps(explained.folder / "saliency" / "maps.npz")
    whole = explained.found.maps["saliency"].maps
    picture = np.asarray(Image.open(explained.material.manifest.root / stored.paths[0]).convert("RGB"))
    from tasks.dataset.pixels.shaping import lay_back

    expected = overlay(picture, lay_back(in_colours("saliency", whole)[0], *picture.shape[:2]))
    [file] = explained.folder.rglob(f"saliency/*/{stored.paths[0].replace('/', '__')}")
    np.testing.assert_array_equal(np.asarray(Image.open(file)), expected)


def test_maps_that_came_with_the_predictions_are_those_made_for_their_classes(explained):
    again = make_maps(explained.bench, explained.material, explained.found.rows, explained.found.classes)
    np.testing.assert_array_equal(again["gradcam"].maps, explained.found.maps["gradcam"].maps)
    assert maps_while_predicting(explained.material.experiment, "multiclass")
    assert not maps_while_predicting(explained.material.experiment, "ordinal")


def test_holdout_maps_are_of_the_same_images_and_classes_in_every_fold(explained, bench_of, tmp_path):
    material, rows, bench = bench_of(fold=0)
    explain_fold(tmp_path, material, bench, rows, 0, outcome_of(material, rows, bench))
    for name in METHODS:
        first, other = (read_maps(place / name / "holdout_maps.npz") for place in (explained.folder, tmp_path))
        assert first.paths.tolist() == other.paths.tolist()
        assert len(first.paths) == 3
        table = material.manifest.table.set_index("path").loc[first.paths]
        assert table["split"].tolist() == ["holdout"] * 3
        assert [material.manifest.classes[number] for number in first.classes] == table["label"].tolist()
        assert other.classes.tolist() == first.classes.tolist()


def test_the_images_own_class_is_explained_on_demand_and_said_on_the_sheet(bench_of, tmp_path):
    material, rows, bench = bench_of(target="true", methods=["gradcam"])
    assert not maps_while_predicting(material.experiment, "multiclass")
    found = explain_fold(tmp_path, material, bench, rows, 1, outcome_of(material, rows, bench))
    assert found.classes.tolist() == material.manifest.y[rows.test].tolist()
    assert (found.classes != outcome_of(material, rows, bench).test.probabilities.argmax(axis=1)).any()


def test_another_layer_is_mapped_from_images_and_logged(bench_of, tmp_path):
    material, rows, bench = bench_of(layer="concatenated", methods=["gradcam"])
    assert not bench.explainers.takes_features("gradcam")
    explain_fold(tmp_path, material, bench, rows, 1, outcome_of_images(rows, bench))
    stored = read_maps(tmp_path / "gradcam" / "maps.npz")
    assert (stored.layer, stored.maps.shape[1:]) == ("concatenated", (3, 3))


def outcome_of_images(rows, bench):
    probabilities = bench.built.model.predict(bench.images[rows.test].astype(np.float32), verbose=0)
    test = Predicted(rows.test, probabilities.astype(float), rows.test[:0], np.zeros((0, 1, 1)))
    return Outcome("multiclass", test, test, test, None)


def test_nothing_is_written_where_no_image_is_to_be_explained(bench_of, tmp_path):
    material, rows, bench = bench_of(max_images=0)
    assert explain_fold(tmp_path / "out", material, bench, rows, 1, outcome_of_images(rows, bench)) is None
    assert not (tmp_path / "out").exists()
    assert [len(part) for part in holdout_sample(material.manifest, rows.holdout, material.experiment)] == [0, 0]


def test_of_several_labels_the_likeliest_of_an_images_own_is_explained():
    y = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    probabilities = np.array([[0.2, 0.9, 0.3], [0.1, 0.4, 0.3], [0.9, 0.1, 0.8]])
    rows = np.arange(3)
    material = SimpleNamespace(
        manifest=SimpleNamespace(y=y, targets=Targets(("a", "b", "c"), "multilabel")),
        experiment=SimpleNamespace(explanation=SimpleNamespace(target="true")),
    )
    predicted = Predicted(rows, probabilities, rows[:0], np.zeros((0, 1, 1)))
    assert classes_to_explain(material, predicted, rows, np.full(3, 0.5)).tolist() == [2, 1, 1]


def test_integrated_gradients_leave_their_gaps_and_figures_of_a_few_images(bench_of, tmp_path):
    steps = {"steps": 8, "baseline": "blur"}
    material, rows, bench = bench_of(methods=["integrated_gradients"], integrated_gradients=steps)
    found = explain_fold(tmp_path, material, bench, rows, 1, outcome_of(material, rows, bench))
    table = pd.read_csv(tmp_path / "integrated_gradients/completeness.csv")
    stored = read_maps(tmp_path / "integrated_gradients/maps.npz")
    assert table["path"].tolist() == stored.paths.tolist()
    assert set(table["baseline"]) == {"blur"}
    assert set(table["steps"]) == {8}
    own = found.maps["integrated_gradients"]
    missed = np.abs(own.maps.sum(axis=(1, 2), dtype=float) - table["difference"]) / np.abs(table["difference"])
    np.testing.assert_allclose(table["gap"], missed, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(stored.gaps, table["gap"])
    assert found.metrics == {"explain/integrated_gradients/completeness_gap": pytest.approx(table["gap"].median())}
    assert 1 <= len(list((tmp_path / "integrated_gradients/figures").glob("*.png"))) <= 3


def test_the_median_gap_leaves_infinite_ones_out_and_is_not_there_without_any():
    gaps = pd.DataFrame({"gap": [0.1, np.inf, 0.3, 0.2]})
    assert completeness_metrics(gaps) == {"explain/integrated_gradients/completeness_gap": 0.2}
    assert completeness_metrics(gaps.iloc[[1]]) == {}

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.config import Experiment, merged
from tasks.evaluation.outputs import activated, class_probabilities, explained_class, right
from tasks.explanation.faithfulness import Plan
from tasks.explanation.location import CORNERS
from tasks.explanation.measures import TRUTH_COLUMNS, verdicts
from tasks.explanation.predictions import Predicted
from tasks.training.fit import predict
from tasks.workers.decisions import Outcome
from tasks.workers.effort import LEAST_IMAGES, Prices, prices_of, sample_size
from tasks.workers.fold_explained import Explained
from tasks.workers.fold_maps import make_maps
from tasks.workers.fold_truth import examine
from tasks.workers.order import read_material
from tasks.workers.workshop import Workshop

FOLD, SIDE, PART = 1, 40, 14
METHODS = {"methods": ["saliency", "rise"], "rise": {"n_masks": 40, "cells": 4}, "faithfulness_images": 64}


def write_squares(root, n=24):
    """Write noise, half of it with a bright square somewhere, and a table of boxes around the squares beside it."""
    random = np.random.default_rng(5)
    rows = ["image,x_min,y_min,x_max,y_max"]
    for label in ("square", "plain"):
        (root / "data" / label).mkdir(parents=True)
        for number in range(n):
            pixels = random.integers(0, 110, (SIDE, SIDE, 3))
            top, left = random.integers(0, SIDE - PART, 2)
            if label == "square":
                pixels[top : top + PART, left : left + PART] = random.integers(170, 255, (PART, PART, 3))
                rows.append(f"{label}/{number:02d}.png,{left},{top},{left + PART},{top + PART}")
            Image.fromarray(pixels.astype(np.uint8)).save(root / "data" / label / f"{number:02d}.png")
    (root / "boxes.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="module")
def made(planned, tmp_path_factory):
    """Give a function that fits a fold run's network and makes its maps."""

    def make(root, /, **changes):
        plan = planned(root / "data", tmp_path_factory.mktemp("cache"), **changes)
        plan.write()
        material = read_material(plan.order("fold", ("ncnn", FOLD)))
        bench, rows = Workshop().bench(material, "ncnn", FOLD, lambda _: None), material.rows(FOLD)
        y, kind = material.manifest.y, material.manifest.targets.kind
        bench.fitter.fit(bench.inputs.rows, y, rows.train, rows.validation, material.manifest.classes, seed=1)
        logits = predict(bench.fitter.forward, bench.inputs.rows, rows.test)
        probabilities = class_probabilities(activated(logits, kind), kind)
        test = Predicted(rows.test, probabilities, rows.test[:0], np.zeros((0, 1, 1)))
        outcome = Outcome(
            kind, test, test, test, np.full(probabilities.shape[1], 0.5) if kind == "multilabel" else None
        )
        decided, classes = outcome.decided(test), explained_class(probabilities, kind)
        maps = make_maps(bench, material, rows.test, classes)
        found = Explained(rows.test, classes, decided, right(y[rows.test], decided), maps)
        return SimpleNamespace(plan=plan, material=material, bench=bench, rows=rows, outcome=outcome, found=found)

    return make


@pytest.fixture(scope="module")
def trained(made, squares):
    """A network that has learnt to look for squares, and the boxes around them."""
    return made(
        squares,
        data={"path": str(squares / "data"), "regions": str(squares / "boxes.csv")},
        training={
            "epochs": 25,
            "batch_size": 8,
            "early_stopping_patience": None,
            "optimizer": {"learning_rate": 0.003},
        },
        explanation=METHODS,
    )


def with_settings(run, **explanation):
    experiment = run.material.experiment
    changed = merged(experiment.model_dump(), {"explanation": explanation})
    return SimpleNamespace(
        **vars(run) | {"material": replace(run.material, experiment=Experiment.model_validate(changed))}
    )


def examined(folder, run):
    found = examine(folder, run.material, run.bench, run.rows, FOLD, run.outcome, run.found)
    files = {file.name for file in folder.iterdir()}
    truth = pd.read_parquet(folder / "truth.parquet") if "truth.parquet" in files else None
    sanity = pd.read_csv(folder / "sanity.csv") if "sanity.csv" in files else None
    location = pd.read_parquet(folder / "location.parquet")
    return SimpleNamespace(examined=found, files=files, truth=truth, sanity=sanity, location=location)


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    return examined(tmp_path_factory.mktemp("measured") / "new", with_settings(trained, faithfulness_share=None))


def test_everything_is_written_in_the_form_that_others_read(trained, measured):
    n = len(trained.found.rows)
    paths = trained.material.manifest.table["path"].iloc[trained.found.rows].tolist()
    assert measured.files == {"location.parquet", "truth.parquet", "sanity.csv", "truth.png"}
    truth, location = measured.truth, measured.location
    assert truth.columns.tolist() == list(TRUTH_COLUMNS)
    assert truth["path"].tolist() == location["path"].tolist() == 2 * paths
    assert truth["method"].tolist() == location["method"].tolist() == ["saliency"] * n + ["rise"] * n
    assert set(truth["label"]) == set(location["predicted"]) == {"plain", "square"}
    assert truth["group"].isna().all()
    assert location["right"].tolist() == (location["true"] == location["predicted"]).tolist()
    assert {"border", "corner", *CORNERS, "hit", "heat_inside", "area_inside"} <= set(location)
    assert measured.sanity["stage"].tolist() == [0, 1, 2, 3, 4, 5, 0, 5]
    assert measured.sanity["method"].tolist() == ["saliency"] * 6 + ["rise"] * 2
    assert measured.examined.n_images == n


def test_a_method_that_costs_much_is_checked_on_few_images(trained, measured):
    steady = ["sanity_rank", "sanity_ssim", "noise", "shift"]
    by_method = {name: part[steady].notna().to_numpy() for name, part in measured.truth.groupby("method")}
    assert by_method["rise"].sum(axis=0).tolist() == [2] * 4
    shows_something = trained.found.maps["saliency"].maps.any(axis=(1, 2))
    assert shows_something.sum() > 8
    assert by_method["saliency"][shows_something].all()
    assert measured.truth["overall"].notna().all()


def test_metrics_have_the_names_of_the_contract(measured):
    metrics = measured.examined.metrics
    wanted = ("deletion_blur", "overall", "overall_random", "average_drop", "sanity_rank", "noise", "shift", "border")
    assert {f"explain/{method}/{name}" for method in ("saliency", "rise") for name in (*wanted, "hit")} <= set(metrics)
    assert np.isfinite(list(metrics.values())).all()
    assert measured.examined.logged(measured.examined.seconds * 4)["explain/seconds_share"] == pytest.approx(0.25)


def test_measuring_again_gives_the_same_to_the_bit_and_leaves_the_network_alone(trained, measured, tmp_path):
    before = [weight.numpy().tobytes() for weight in trained.bench.built.model.weights]
    again = examined(tmp_path / "again", with_settings(trained, faithfulness_share=None))
    assert [weight.numpy().tobytes() for weight in trained.bench.built.model.weights] == before
    for name in ("truth", "sanity", "location"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(measured, name), check_exact=True)
    assert again.examined.metrics == measured.examined.metrics


def test_the_bound_takes_a_part_of_the_images_but_never_fewer_than_four(trained, measured, tmp_path):
    least = examined(tmp_path / "least", with_settings(trained, faithfulness_share=1e-6))
    assert least.examined.n_images == LEAST_IMAGES < measured.examined.n_images
    some = examined(tmp_path / "some", with_settings(trained, faithfulness_share=None, faithfulness_images=9))
    assert some.examined.n_images == 9
    smaller, larger = set(least.truth["path"]), set(some.truth["path"])
    assert smaller < larger
    assert {path.split("/")[0] for path in smaller} == {"plain", "square"}
    few = examined(tmp_path / "few", with_settings(trained, faithfulness_share=1e-6, faithfulness_images=3))
    assert few.examined.n_images == 3
    assert least.examined.passes < some.examined.passes < measured.examined.passes
    assert len(least.location) == len(measured.location)


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5])
def test_the_measures_take_no_more_than_their_share_of_the_work(trained, share):
    run = with_settings(trained, faithfulness_share=share)
    n, plan = len(run.found.rows), Plan(steps=8)
    prices = prices_of(run.bench, plan, run.found.maps)
    found = sample_size(run.material, run.bench, run.rows, n, prices)
    epochs = 25 * (3 * len(run.rows.train) + len(run.rows.validation))
    others = epochs + len(run.rows.test) + n * (2 + 41)
    assert LEAST_IMAGES <= found < n
    assert prices.of(found) / (prices.of(found) + others) <= share
    assert prices.of(found + 1) / (prices.of(found + 1) + others) > share


def test_prices_are_those_of_every_pass():
    prices = Prices(Plan(steps=3), {"saliency": 2, "rise": 41})
    faithful = Plan(steps=3).passes_an_image
    assert prices.of(10) == 2 * 10 * faithful + 10 * (5 + 2) * 2 + 2 * (1 + 2) * 41
    assert [prices.checked("rise", n) for n in (1, 2, 30, 60)] == [1, 2, 2, 5]
    assert [prices.checked("saliency", n) for n in (1, 60)] == [1, 60]
    assert prices.most_images(10, prices.of(7)) == 7
    assert prices.most_images(10, prices.of(7) - 1) == 6
    assert prices.most_images(10, 1e9) == 10
    assert prices.most_images(10, 0) == 0


def test_methods_whose_maps_are_as_coarse_share_the_price_of_the_controls():
    grids = {"gradcam": (7, 7), "hirescam": (7, 7), "saliency": (34, 34)}
    plan, maps = Plan(steps=3), {"gradcam": 1, "hirescam": 1, "saliency": 2}
    shared, alone = Prices(plan, maps, grids), Prices(plan, maps)
    assert alone.of(10) - shared.of(10) == 10 * (plan.passes_an_image - plan.own_passes)


def test_a_map_of_one_place_and_blank_ones_are_told(trained, tmp_path):
    maps = np.ones((len(trained.found.rows), 1, 1), np.float32)
    maps[::4] = 0
    stored = {"gradcam": replace(trained.found.maps["saliency"], method="gradcam", maps=maps)}
    run = with_settings(trained, faithfulness_images=6)
    coarse = SimpleNamespace(**vars(run) | {"found": replace(run.found, maps=stored)})
    found = examined(tmp_path / "coarse", coarse)
    assert found.location[["rows", "columns"]].eq(1).all(axis=None)
    assert found.location["blank"].tolist() == [place % 4 == 0 for place in range(len(maps))]
    assert found.examined.metrics["explain/gradcam/blank"] == pytest.approx(np.mean(np.arange(len(maps)) % 4 == 0))
    verdict = verdicts(found.truth, found.location)["gradcam"]
    assert verdict.doubted
    assert "A map has one place for the whole picture and shows nothing. 25 % of the maps are blank." in verdict.text


def test_nothing_is_measured_where_that_is_not_wanted(trained, tmp_path):
    off = examined(tmp_path / "off", with_settings(trained, faithfulness_images=0))
    assert off.files == {"location.parquet"}
    assert (off.examined.n_images, off.examined.passes) == (0, 0)
    assert "explain/saliency/border" in off.examined.metrics
    assert not any("overall" in name for name in off.examined.metrics)


def of_squares(run, maps):
    """Give the run with these maps, of its images with a square only, as if they were the first method's."""
    found, manifest = run.found, run.material.manifest
    square = manifest.y[found.rows] == manifest.classes.index("square")
    stored = found.maps["saliency"]
    classes = np.full(int(square.sum()), manifest.classes.index("square"))
    own = {"saliency": replace(stored, paths=stored.paths[square], classes=classes, maps=maps[square])}
    explained = Explained(found.rows[square], classes, found.y_pred, found.good[square], own)
    return SimpleNamespace(**vars(with_settings(run, faithfulness_share=None)) | {"found": explained})


def true_maps(run, squares):
    boxes = pd.read_csv(squares / "boxes.csv").set_index("image")
    paths = run.material.manifest.table["path"].iloc[run.found.rows]
    maps = np.zeros((len(paths), SIDE, SIDE), np.float32)
    for heat, path in zip(maps, paths, strict=True):
        if path in boxes.index:
            box = boxes.loc[path]
            heat[box["y_min"] : box["y_max"], box["x_min"] : box["x_max"]] = 1
    return maps


def test_a_true_map_beats_the_controls_and_hits_and_a_random_one_does_not(trained, squares, tmp_path):
    true = examined(tmp_path / "true", of_squares(trained, true_maps(trained, squares)))
    noise = np.random.default_rng(3).random((len(trained.found.rows), 8, 8), dtype=np.float32)
    random = examined(tmp_path / "random", of_squares(trained, noise))
    assert verdicts(true.truth)["saliency"].beats_controls is True
    assert verdicts(random.truth)["saliency"].beats_controls is False
    assert verdicts(random.truth)["saliency"].doubted
    assert (true.location["hit"] == 1).all()
    assert true.location["heat_inside"].min() > 0.99
    np.testing.assert_allclose(true.location["area_inside"], PART**2 / SIDE**2)
    assert random.location["heat_inside"].mean() == pytest.approx(PART**2 / SIDE**2, abs=0.05)


def test_an_image_without_a_region_is_neither_hit_nor_missed(measured):
    known = measured.location["path"].str.startswith("square")
    assert measured.location.loc[known, "hit"].notna().all()
    assert measured.location.loc[~known, ["hit", "heat_inside", "area_inside"]].isna().all(axis=None)


@pytest.mark.parametrize("kind", ["ordinal", "multilabel"])
def test_grades_and_several_labels_are_measured_from_frozen_features_too(made, squares, tmp_path, kind):
    run = made(
        squares,
        data={"path": str(squares / "data"), "labels": {"kind": kind}, "classes": ["plain", "square"]},
        backbones={"ncnn": {"size": 34, "freeze": "base"}},
        explanation={"methods": ["saliency", "gradcam"], "faithfulness_images": 6},
    )
    found = examined(tmp_path / kind, run)
    assert found.examined.n_images == LEAST_IMAGES
    assert found.truth["overall"].notna().all()
    assert found.truth.loc[found.truth["method"] == "saliency", ["noise", "shift"]].notna().all(axis=None)
    assert "hit" not in found.location
    images = run.bench.images[run.rows.test].astype(np.float32)
    outputs = class_probabilities(run.bench.explainers.outputs(images), kind)
    np.testing.assert_allclose(outputs, run.outcome.test.probabilities, atol=1e-4)


def test_the_bars_of_pad_are_no_border(made, tmp_path):
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "b").mkdir()
    for number in range(8):
        for label in "ab":
            pixels = np.random.default_rng([number, ord(label)]).integers(0, 255, (16, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    run = made(tmp_path, data={"path": str(tmp_path / "data"), "preprocessing": {"resize": "pad"}})
    maps = np.zeros((len(run.found.rows), 50, 50), np.float32)
    maps[:, 15:16, 10:40] = 1  # the picture's upper edge: bars are above and below it
    stored = {"gradcam": replace(run.found.maps["gradcam"], maps=maps)}
    run.found = replace(run.found, maps=stored)
    off = examined(tmp_path / "pad", with_settings(run, faithfulness_images=0))
    assert (off.location["border"] > 0.9).all()


def test_large_pictures_are_compared_smaller_and_give_the_same_shares(made, tmp_path):
    rows = ["image,x_min,y_min,x_max,y_max"]
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng([number, ord(label)]).integers(0, 255, (900, 1400, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png", compress_level=0)
            rows.append(f"{label}/{number}.png,0,0,700,900" if number else f"{label}/0.png,700,450,701,451")
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    run = made(tmp_path, data={"path": str(tmp_path / "data"), "regions": str(tmp_path / "boxes.csv")})
    maps = np.zeros((len(run.found.rows), 50, 50), np.float32)
    maps[:, :, 2:48] = 1
    maps[:, 20, 10] = 3
    run.found = replace(run.found, maps={"gradcam": replace(run.found.maps["gradcam"], maps=maps)})
    location = examined(tmp_path / "large", with_settings(run, faithfulness_images=0)).location
    tiny = location["path"].str.endswith("0.png")
    assert (~tiny).sum() > 1
    np.testing.assert_allclose(location.loc[~tiny, "area_inside"], 0.5)
    np.testing.assert_allclose(location.loc[~tiny, "heat_inside"], 0.5, atol=0.01)
    assert (location.loc[~tiny, "hit"] == 1).all()
    np.testing.assert_allclose(location.loc[tiny, "area_inside"], 1 / (900 * 1400))

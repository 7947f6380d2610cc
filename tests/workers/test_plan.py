from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image

from tasks.config import InputError
from tasks.dataset.folds.assignment import fold_rows
from tasks.workers import plan as plan_module
from tasks.workers.order import Order, read_material
from tasks.workers.plan import combined, make_plan
from tests.support.images import picture, write_classes


@pytest.fixture
def own(tmp_path, images):
    """A copy of the images, to be changed."""
    return shutil.copytree(images, tmp_path / "own")


@pytest.fixture
def base(planned, own, tmp_path):
    return planned(own, tmp_path / "cache")


def changed_cells(one, other):
    assert one.fingerprints.keys() == other.fingerprints.keys()
    return {cell for cell in one.fingerprints if one.fingerprints[cell] != other.fingerprints[cell]}


CELLS = {("ncnn", 0), ("ncnn", 1)}


def test_every_fold_run_has_a_fingerprint_of_its_own_and_the_same_every_time(planned, own, tmp_path):
    names = {"ncnn": {"size": 34}, "vgg16": {"size": 32}}
    plan = planned(own, tmp_path, backbones=names)
    assert set(plan.fingerprints) == {(name, fold) for name in names for fold in range(2)}
    assert len({*plan.fingerprints.values(), plan.fingerprint}) == 5
    assert all(len(text) == 64 and int(text, 16) for text in plan.fingerprints.values())
    again = planned(own, tmp_path, backbones=names)
    assert again.fingerprints == plan.fingerprints
    assert again.fingerprint == plan.fingerprint
    assert plan.n_folds == 2
    assert plan.backbones == tuple(names)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"deterministic": False},
        {"training": {"epochs": 2}},
        {"training": {"batch_size": 4}},
        {"training": {"class_weights": "balanced"}},
        {"training": {"optimizer": {"learning_rate": 0.01}}},
        {"training": {"augmentation": {"horizontal_flip": True}}},
        {"backbones": {"ncnn": {"size": 35}}},
        {"backbones": {"ncnn": {"freeze": "base"}}},
        {"backbones": {"ncnn": {"head": {"kind": "gap"}}}},
        {"backbones": {"ncnn": {"training": {"mixed_precision": True}}}},
        {"model": {"weights": "imagenet"}},
        {"explanation": {"alpha": 0.5}},
        {"explanation": {"max_images": 3}},
        {"explanation": {"format": "jpeg"}},
        {"cache": {"feature_dtype": "float16"}},
        {"training": {"augmentation": {"rotation": 5, "mode": "cached"}}},
        {"folds": {"validation_fraction": 0.4}},
        {"runner": {"threads_per_worker": 2}},
        {"data": {"classes": ["down", "across"]}},
        {"data": {"labels": {"kind": "ordinal"}, "classes": ["down", "across"]}},
        {"data": {"labels": {"kind": "multilabel"}}},
        {"data": {"preprocessing": {"resize": "pad"}}},
        {"data": {"preprocessing": {"mask": "circle"}}},
        {"data": {"preprocessing": {"transparency_color": "#ffffff"}}},
    ],
    ids=str,
)
def test_a_setting_that_decides_the_result_changes_every_fingerprint(planned, own, base, tmp_path, changes):
    other = planned(own, tmp_path / "cache", **changes)
    assert changed_cells(base, other) == CELLS
    assert other.fingerprint != base.fingerprint
    assert other.folder != base.folder


@pytest.mark.parametrize(
    "changes",
    [
        {"runner": {"workers": 2}},
        {"runner": {"retries": 5}},
        {"runner": {"timeout_minutes": 3}},
        {"cache": {"max_gb": 0.5}},
        {"data": {"on_corrupt": "skip"}},
        {"data": {"reader": "class_folders"}},
        {"description": "said otherwise"},
        {"evaluation": {"metric": "accuracy"}},
        {"data": {"audit": {"off": ["images"]}}},
        {"name": "another experiment"},
    ],
    ids=str,
)
def test_a_setting_that_does_not_leaves_every_fold_run_as_it_is(planned, own, base, tmp_path, changes):
    assert changed_cells(base, planned(own, tmp_path / "cache", **changes)) == set()


@pytest.mark.parametrize(
    "changes",
    [{"runner": {"workers": 2}}, {"runner": {"retries": 5}}, {"cache": {"max_gb": 0.5}}, {"description": "otherwise"}],
    ids=str,
)
def test_an_experiment_is_the_same_one_however_it_is_spread_over_the_machine(planned, own, base, tmp_path, changes):
    assert planned(own, tmp_path / "cache", **changes).fingerprint == base.fingerprint


def test_a_metric_to_rank_by_makes_another_experiment_of_the_same_fold_runs(planned, own, base, tmp_path):
    assert planned(own, tmp_path / "cache", evaluation={"metric": "accuracy"}).fingerprint != base.fingerprint


def test_another_audit_makes_another_experiment_with_a_page_of_its_own(planned, own, base, tmp_path):
    assert planned(own, tmp_path / "cache", data={"audit": {"off": ["images"]}}).fingerprint != base.fingerprint


@pytest.mark.parametrize("name", ["SHAPING_VERSION", "OUTPUTS_VERSION"])
def test_another_way_to_shape_or_to_decide_changes_the_fold_runs(planned, own, base, tmp_path, monkeypatch, name):
    monkeypatch.setattr(plan_module, name, "another")
    assert changed_cells(base, planned(own, tmp_path / "cache")) == CELLS


@pytest.mark.parametrize("change", [{"kind": "ordinal"}, {"separator": ";"}, {"none_label": "healthy"}])
def test_kind_and_wording_of_labels_count_even_with_the_same_classes(base, tmp_path, change):
    other = replace(base.manifest, targets=replace(base.manifest.targets, **change))
    assert changed_cells(base, make_plan(base.experiment, other, base.fold_of_row, tmp_path)) == CELLS


def test_thresholds_change_the_fold_runs_of_several_labels(planned, own, tmp_path):
    def with_thresholds(value):
        return planned(own, tmp_path, data={"labels": {"kind": "multilabel"}}, evaluation={"thresholds": value})

    plans = [with_thresholds(value) for value in (None, 0.4, "tuned", {"across": 0.4, "down": 0.5})]
    assert all(changed_cells(plans[0], other) == CELLS for other in plans[1:])
    assert changed_cells(plans[1], with_thresholds(0.4)) == set()


def test_repeats_are_further_folds_and_keep_the_first_ones_fold_runs(planned, own, base, tmp_path):
    more = planned(own, tmp_path / "cache", folds={"n_repeats": 3})
    assert (more.n_folds, more.n_repeats, base.n_repeats) == (6, 3, 1)
    assert {cell: more.fingerprints[cell] for cell in CELLS} == base.fingerprints
    assert len(set(more.fingerprints.values())) == 6
    assert more.fingerprint != base.fingerprint
    np.testing.assert_array_equal(more.fold_of_row, base.fold_of_row)
    for repeat in range(3):
        tested = [more.rows[fold].test for fold in (2 * repeat, 2 * repeat + 1)]
        np.testing.assert_array_equal(np.sort(np.concatenate(tested)), np.arange(16))


def test_a_worker_reads_back_every_repeat(planned, own, tmp_path):
    plan = planned(own, tmp_path, folds={"n_repeats": 2})
    plan.write()
    material = read_material(plan.order("fold", ("ncnn", 3)))
    np.testing.assert_array_equal(material.fold_of_row, plan.folds_of_row)
    for role, rows in vars(material.rows(3)).items():
        np.testing.assert_array_equal(rows, getattr(plan.rows[3], role))


def test_images_that_have_moved_are_the_same_images(planned, own, base, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = planned(shutil.move(own, tmp_path / "elsewhere" / "data"), tmp_path / "another cache")
    assert changed_cells(base, moved) == set()
    assert moved.fingerprint == base.fingerprint


def test_one_pixel_changes_the_fold_runs(planned, own, base, tmp_path):
    file = own / "down" / "003.png"
    pixels = np.array(Image.open(file))
    pixels[5, 5, 1] ^= 1
    Image.fromarray(pixels).save(file)
    assert changed_cells(base, planned(own, tmp_path / "cache")) == CELLS


def test_the_same_pixels_written_anew_change_nothing(planned, own, base, tmp_path):
    file = own / "down" / "003.png"
    Image.open(file).copy().save(file, compress_level=0, pnginfo=None)
    assert changed_cells(base, planned(own, tmp_path / "cache")) == set()


def test_a_label_changes_the_fold_runs(base, tmp_path):
    table = base.manifest.table.copy()
    table.loc[0, "label"] = "down"
    other = make_plan(base.experiment, replace(base.manifest, table=table), base.fold_of_row, tmp_path)
    assert changed_cells(base, other) == CELLS


def test_two_images_that_change_folds_change_the_fold_runs(base, tmp_path):
    folds = base.fold_of_row.copy()
    one, two = (
        np.flatnonzero((base.manifest.y == 0) & (folds == 0))[0],
        np.flatnonzero((base.manifest.y == 0) & folds)[0],
    )
    folds[[one, two]] = folds[[two, one]]
    assert changed_cells(base, make_plan(base.experiment, base.manifest, folds, tmp_path)) == CELLS


def test_one_more_image_changes_the_fold_runs(planned, own, base, tmp_path):
    Image.fromarray(picture(0, 99)).save(own / "across" / "900.png")
    assert changed_cells(base, planned(own, tmp_path / "cache")) == CELLS


def test_the_order_of_the_backbones_changes_nothing(planned, own, tmp_path):
    one = planned(own, tmp_path, backbones={"ncnn": {"size": 34}, "vgg16": {"size": 32}})
    turned = one.experiment.model_copy(update={"backbones": dict(reversed(one.experiment.backbones.items()))})
    other = make_plan(turned, one.manifest, one.fold_of_row, tmp_path)
    assert other.backbones == one.backbones[::-1]
    assert changed_cells(one, other) == set()
    assert other.fingerprint == one.fingerprint


def test_another_backbone_leaves_the_fold_runs_of_the_first_as_they_are(planned, own, base, tmp_path):
    more = planned(own, tmp_path / "cache", backbones={"vgg16": {"size": 32}})
    assert {cell: more.fingerprints[cell] for cell in CELLS} == base.fingerprints
    assert more.fingerprint != base.fingerprint


def weight_file(path, value):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["weights"] = np.full(3, float(value))
    return str(path)


def test_a_weight_file_counts_by_its_content(planned, own, tmp_path):
    file = tmp_path / "w.h5"
    before = planned(own, tmp_path, model={"weights": weight_file(file, 1)})
    weight_file(file, 1)
    assert changed_cells(before, planned(own, tmp_path, model={"weights": str(file)})) == set()
    weight_file(file, 2)
    assert changed_cells(before, planned(own, tmp_path, model={"weights": str(file)})) == CELLS


def test_a_weight_file_that_has_moved_is_the_same_weights(planned, own, tmp_path):
    before = planned(own, tmp_path, model={"weights": weight_file(tmp_path / "w.h5", 1)})
    after = planned(own, tmp_path, model={"weights": weight_file(tmp_path / "there" / "renamed.h5", 1)})
    assert changed_cells(before, after) == set()
    assert after.fingerprint == before.fingerprint


def test_another_version_of_a_decisive_package_changes_the_fold_runs(planned, own, base, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "version", lambda _: "0.0.0")
    assert changed_cells(base, planned(own, tmp_path / "cache")) == CELLS


def test_one_fingerprint_for_several_hangs_on_each_and_not_on_their_order():
    assert combined(["a", "b"]) == combined(["b", "a"])
    assert len({combined(parts) for parts in (["a"], ["b"], ["a", "b"], ["ab"], ["a", "b", "b"])}) == 5


def test_a_worker_reads_back_what_was_planned(base):
    base.write()
    order = base.order("fold", ("ncnn", 1), "sqlite:///x.db", "run")
    assert Order(**order.to_json()) == order
    material = read_material(order)
    assert material.experiment == base.experiment
    assert material.manifest.digest == base.manifest.digest
    assert material.manifest.root == base.manifest.root
    np.testing.assert_array_equal(material.fold_of_row, base.fold_of_row)
    for fold in range(2):
        for role in ("train", "validation", "test", "holdout"):
            np.testing.assert_array_equal(getattr(material.rows(fold), role), getattr(base.rows[fold], role))


def test_an_order_is_small_and_says_all_that_a_worker_needs(base):
    order = base.order("fold", ("ncnn", 1), "http://here", "abc").to_json()
    assert (order["backbone"], order["fold"], order["run_id"]) == ("ncnn", 1, "abc")
    assert len(str(order)) < 10_000


def test_the_tables_come_back_when_the_cache_was_cleared_meanwhile(base):
    base.write()
    shutil.rmtree(base.cache_folder)
    assert read_material(base.order("features", ("ncnn", -1))).manifest.digest == base.manifest.digest


def test_only_whole_files_stand_in_the_plans_folder(base):
    base.write()
    first = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in base.folder.iterdir()}
    base.write()
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in base.folder.iterdir()} == first
    assert set(first) == {"manifest.parquet", "folds.csv"}


def test_the_rows_of_a_fold_run_are_disjoint_and_all_there(planned, tmp_path):
    root = tmp_path / "split"
    write_classes(root / "train", {"across": 9, "down": 7})
    write_classes(root / "test", {"across": 2, "down": 3}, seed=5)
    plan = planned(root, tmp_path, folds={"n_splits": 3})
    for fold, rows in enumerate(plan.rows):
        parts = [rows.train, rows.validation, rows.test, rows.holdout]
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(21))
        np.testing.assert_array_equal(rows.test, np.flatnonzero(plan.fold_of_row == fold))
        assert all(plan.manifest.table["path"][row].startswith("test/") for row in rows.holdout)
        assert len(rows.holdout) == 5
    np.testing.assert_array_equal(
        np.sort(np.concatenate([rows.test for rows in plan.rows])), np.flatnonzero(plan.fold_of_row >= 0)
    )
    again = fold_rows(plan.manifest, plan.fold_of_row, 1, validation_fraction=0.2, seed=0)
    np.testing.assert_array_equal(again.validation, plan.rows[1].validation)


def test_a_class_with_one_image_outside_a_fold_is_refused(planned, tmp_path):
    write_classes(tmp_path / "data", {"across": 2, "down": 2})
    with pytest.raises(InputError, match="No validation images"):
        planned(tmp_path / "data", tmp_path)

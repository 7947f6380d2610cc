"""The shipped experiment files on data laid out as their studies' was: what is read, and how it is cut."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import flows
from tasks.backbones.registry import get
from tasks.dataset.labels import label_finder
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import shape
from tasks.experiment_file import read_experiment
from tasks.planning import load_plan
from tests.support.command import foldcam
from tests.support.studio import one_json
from tests.support.study_layouts import (
    LEAF_LABELS,
    OCT_CLASSES,
    TRAPS,
    leaf_table,
    neonatal_folds,
    oct_folders,
    photographs,
    retina_arrays,
)

EXPERIMENTS = Path(flows.__file__).parent / "experiments"
LAYOUTS = {"oct": oct_folders, "leaf": leaf_table, "retina": retina_arrays, "neonatal": neonatal_folds}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of each study's data set, by the name of its experiment file."""
    folder = tmp_path_factory.mktemp("studies")
    return {name: write(folder / name) for name, write in LAYOUTS.items()}


def check(name, folder, *settings):
    """`foldcam check` of a shipped file, as JSON."""
    options = [option for setting in settings for option in ("--set", setting)]
    answer = foldcam("check", EXPERIMENTS / f"{name}.yaml", "--set", f"data.path={folder}", *options, "--json")
    assert answer.code == 0, answer.err
    return one_json(answer.out)


def refusal(name, folder):
    return foldcam("check", EXPERIMENTS / f"{name}.yaml", "--set", f"data.path={folder}").refused()


def plan_of(name, folder, *settings):
    experiment = read_experiment(EXPERIMENTS / f"{name}.yaml", [f"data.path={folder}", *settings])
    return load_plan(experiment)


def parts(rows):
    return {"train": rows.train, "validation": rows.validation, "test": rows.test, "holdout": rows.holdout}


def patients(plan, rows):
    return {re.search(r"-(\d+)-", path)[1] for path in plan.manifest.table["path"].iloc[rows]}


def test_every_shipped_file_but_the_demos_is_tried_here():
    assert {file.stem for file in EXPERIMENTS.glob("*.yaml")} == {*LAYOUTS, "imagenet", "faces"}


@pytest.mark.parametrize(
    ("name", "n_images", "classes", "backbones", "n_folds"),
    [
        ("oct", 80, OCT_CLASSES, ["vgg16", "inceptionv3", "inceptionresnetv2"], 5),
        ("leaf", 40, LEAF_LABELS, ["ncnn", "resnet50"], 5),
        ("retina", 40, ("0", "1", "2", "3", "4"), ["densenet121"], 5),
        (
            "neonatal",
            40,
            ("No_pain", "Pain"),
            ["vggface_vgg16", "vggface_resnet50", "senet50", "inceptionv3", "ncnn"],
            10,
        ),
    ],
)
def test_the_file_reads_its_studys_data_as_it_lies(data, name, n_images, classes, backbones, n_folds):
    found = check(name, data[name])
    assert found["experiment"] == name
    assert found["n_images"] == n_images
    assert tuple(found["classes"])[: len(classes)] == classes
    assert found["backbones"] == backbones
    assert found["n_folds"] == n_folds
    assert found["fold_runs"] == n_folds * len(backbones)
    assert [finding["code"] for finding in found["findings"] if finding["severity"] == "stop"] == []


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_every_fold_run_trains_on_every_class_and_tests_what_it_has_not_seen(data, name):
    plan = plan_of(name, data[name])
    assert sorted(np.concatenate([rows.test for rows in plan.rows])) == sorted(np.flatnonzero(plan.fold_of_row >= 0))
    for rows in plan.rows:
        own = parts(rows)
        assert sum(map(len, own.values())) == len(set(np.concatenate(list(own.values())))) == len(plan.manifest.table)
        assert min(len(own[part]) for part in ("train", "validation", "test")) > 0
        seen = plan.manifest.y[rows.train]
        seen = seen.sum(axis=0) if seen.ndim == 2 else np.bincount(seen, minlength=len(plan.manifest.classes))
        assert seen.min() > 0


def test_oct_holds_out_the_published_test_folder_and_pools_train_and_val(data):
    plan = plan_of("oct", data["oct"])
    paths = plan.manifest.table["path"]
    assert {path.split("/")[0] for path in paths[plan.fold_of_row < 0]} == {"test"}
    assert {path.split("/")[0] for path in paths[plan.fold_of_row >= 0]} == {"train", "val"}


def test_oct_has_no_patient_in_two_parts_of_a_fold_run(data):
    plan = plan_of("oct", data["oct"])
    for rows in plan.rows:
        own = [patients(plan, part) for part in parts(rows).values()]
        assert sum(map(len, own)) == len(set.union(*own)) == 28


def test_oct_with_a_patient_in_train_and_test_is_refused_by_name(tmp_path):
    message = refusal("oct", oct_folders(tmp_path / "leaky", leak=True))
    for kind, label in enumerate(OCT_CLASSES[:3]):
        assert f"test/{label}/{label}-{1000 * (kind + 1)}-5.jpeg" in message
    assert "data.holdout" in message


def test_oct_with_such_a_patient_keeps_the_scans_in_one_fold_where_test_joins_the_folds(tmp_path):
    plan = plan_of("oct", oct_folders(tmp_path / "leaky", leak=True), "data.holdout=none")
    paths = plan.manifest.table["path"]
    for kind in range(len(OCT_CLASSES)):
        own = paths.str.contains(f"-{1000 * (kind + 1)}-").to_numpy()
        assert own.sum() == 5
        assert len(set(plan.fold_of_row[own])) == 1


def test_leaf_labels_are_told_apart_and_healthy_is_none_of_them(data):
    manifest = plan_of("leaf", data["leaf"]).manifest
    table = dict(zip(manifest.table["path"], manifest.y.tolist(), strict=True))
    told = (data["leaf"] / "train.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(told) == len(table) == 40
    for line in told:
        name, labels = line.split(",")
        assert table[f"train_images/{name}"] == [label in labels.split() for label in LEAF_LABELS]
    assert sum(not any(row) for row in table.values()) == 4


def test_leaf_gives_each_label_the_studys_threshold():
    experiment = read_experiment(EXPERIMENTS / "leaf.yaml")
    assert tuple(experiment.data.classes) == LEAF_LABELS
    assert [experiment.evaluation.thresholds[label] for label in LEAF_LABELS] == [0.57, 0.41, 0.36, 0.37, 0.17]


def test_leaf_spreads_every_label_over_all_folds(data):
    plan = plan_of("leaf", data["leaf"])
    for rows in plan.rows:
        assert plan.manifest.y[rows.test].sum(axis=0).min() > 0


def test_retina_holds_out_the_validation_array_and_names_what_has_no_grade(data):
    plan = plan_of("retina", data["retina"])
    assert plan.manifest.targets.kind == "ordinal"
    paths = plan.manifest.table["path"]
    assert {path.split(".npy")[0] for path in paths[plan.fold_of_row < 0]} == {"validation"}
    assert {path.split(".npy")[0] for path in paths[plan.fold_of_row >= 0]} == {"training"}
    left_out = plan.manifest.rejected
    assert left_out["path"].str.startswith("test.npy#").tolist() == [True] * 4
    assert set(left_out["reason"]) == {"it has no label"}


def test_retina_without_its_setting_about_them_refuses_images_without_a_grade(data):
    options = ["--set", f"data.path={data['retina']}", "--set", "data.unlabelled=stop"]
    assert "test.npy" in foldcam("check", EXPERIMENTS / "retina.yaml", *options).refused()


def test_retina_is_black_outside_the_circle(data):
    plan = plan_of("retina", data["retina"])
    picture = open_image(plan.manifest.root, plan.manifest.table["path"][0])
    shaped = shape(picture, 32, shaping_of(plan.experiment.data.preprocessing))
    corners = (0, 0, -1, -1), (0, -1, 0, -1)
    assert picture[corners].min() > 200
    assert shaped[corners].max() == 0
    assert shaped[16, 16].max() > 0


def test_neonatal_takes_the_ten_folders_as_its_folds_in_the_order_of_their_names(data):
    plan = plan_of("neonatal", data["neonatal"])
    for fold, rows in enumerate(plan.rows):
        assert {path.split("/")[0] for path in plan.manifest.table["path"].iloc[rows.test]} == {f"fold_{fold + 1:02d}"}
        assert np.bincount(plan.manifest.y[rows.test]).tolist() == [2, 2]


def test_neonatal_reads_the_class_from_the_words_of_a_name(data):
    table = plan_of("neonatal", data["neonatal"]).manifest.table
    words = table["path"].str.extract("_(sem|rest|com|pain)_")[0]
    assert table["label"].tolist() == ["No_pain" if word in ("sem", "rest") else "Pain" for word in words]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("ID3_Sem_2.jpg", ["No_pain"]),
        ("12rest.png", ["No_pain"]),
        ("assembled pain 1.jpg", ["Pain"]),
        ("ID3-COM-2.jpg", ["Pain"]),
        ("sem_com.jpg", ["No_pain", "Pain"]),
        ("comfort.jpg", []),
        *((name, []) for name in TRAPS),
    ],
)
def test_neonatal_labels_are_whole_words(name, labels):
    assert label_finder(read_experiment(EXPERIMENTS / "neonatal.yaml").data.labels)(name) == labels


def test_neonatal_refuses_pictures_of_neither_pain_nor_rest_by_name(tmp_path):
    folder = neonatal_folds(tmp_path / "faces", traps=True)
    message = refusal("neonatal", folder)
    assert "No rule" in message
    assert all(f"fold_03/{name}" in message for name in TRAPS)
    plan = plan_of("neonatal", folder, "data.unlabelled=skip")
    assert plan.manifest.rejected["path"].tolist() == [f"fold_03/{name}" for name in sorted(TRAPS)]
    assert len(plan.manifest.table) == 40


def test_neonatal_gives_each_network_its_own_input(data):
    experiment = read_experiment(EXPERIMENTS / "neonatal.yaml")
    sizes = {name: experiment.model_of(name).size or get(name).native_size for name in experiment.backbones}
    assert sizes == {"vggface_vgg16": 224, "vggface_resnet50": 224, "senet50": 224, "inceptionv3": 299, "ncnn": 120}
    means = {name: get(name).preprocessing.offset for name in experiment.backbones}
    assert means["vggface_vgg16"] == (-93.5940, -104.7624, -129.1863)
    assert means["senet50"] == means["vggface_resnet50"] == (-91.4953, -103.8827, -131.0912)


def test_imagenet_reads_photographs_wherever_they_lie(tmp_path):
    found = check("imagenet", photographs(tmp_path / "photographs"))
    assert (found["n_images"], found["n_folds"], found["fold_runs"]) == (2, 0, 0)
    assert found["backbones"] == ["vgg16", "xception"]


def test_imagenet_leaves_each_network_as_it_was_trained():
    experiment = read_experiment(EXPERIMENTS / "imagenet.yaml")
    models = [experiment.model_of(name) for name in experiment.backbones]
    assert [(model.weights, model.head.kind, model.size) for model in models] == [("imagenet", "pretrained", None)] * 2
    specs = [get(name) for name in experiment.backbones]
    assert [(spec.native_size, spec.cam_layer) for spec in specs] == [
        (224, "block5_conv3"),
        (299, "block14_sepconv2_act"),
    ]
    assert experiment.explanation.top == 8
    assert len(experiment.explanation.classes) == 6

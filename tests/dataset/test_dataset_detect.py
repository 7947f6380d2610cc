from __future__ import annotations

import re

import numpy as np
import pytest
import yaml

from tasks.config import MISSION, Champion, Comparison, Data, Experiment, InputError, Training
from tasks.dataset.manifest import read_manifest
from tasks.dataset.sources.detect import describe_folder, starter_file
from tasks.dataset.sources.groups import groups_of
from tasks.dataset.sources.label_guess import are_grades, guess_joined
from tasks.dataset.sources.readers import read_records
from tests.support.study_layouts import LEAF_LABELS, leaf_table, retina_arrays


def started(summary, name="Probe"):
    text = starter_file(summary, name=name)
    return text, Experiment.model_validate(yaml.safe_load(text))


def read_back(summary):
    """The settings of the data, from the starter file."""
    return Data.model_validate(yaml.safe_load(starter_file(summary, name="Probe"))["data"])


def test_class_folders_are_described_and_the_file_reads_them(tmp_path, paint):
    for number in range(6):
        paint(tmp_path / ("Äpfel: grün" if number % 3 else '"#1" {x}') / f"{number}.png", size=(30 + number, 20))
    summary = describe_folder(tmp_path)
    assert (summary.reader, summary.n_images, summary.groups) == ("class_folders", 6, None)
    assert summary.classes == {'"#1" {x}': 2, "Äpfel: grün": 4}
    assert summary.median_size == (32, 20)
    text, experiment = started(summary, name='yes: "no" # \\ö')
    assert experiment.name == 'yes: "no" # \\ö'
    assert read_manifest(experiment.data).classes == ('"#1" {x}', "Äpfel: grün")
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("  path:"))


def test_the_five_backbones_of_the_mission_stand_there_in_full(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    paint(tmp_path / "b/1.png")
    text, experiment = started(describe_folder(tmp_path))
    assert tuple(experiment.backbones) == MISSION
    weights = {name: experiment.model_of(name).weights for name in MISSION}
    assert weights == {
        "vgg16": "imagenet",
        "resnet50": "imagenet",
        "senet50": "vggface",
        "inceptionv3": "imagenet",
        "ncnn": "none",
    }
    assert [experiment.model_of(name).freeze for name in MISSION] == ["base"] * 4 + ["none"]
    assert experiment.training == Training()
    assert (experiment.comparison, experiment.champion) == (Comparison(), Champion())
    assert {"comparison", "champion"} < set(yaml.safe_load(text))
    assert text.count("#") > 10


def test_splits_are_described(tmp_path, paint):
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for number in range(count):
            for label in "ab":
                paint(tmp_path / split / label / f"{number}.png")
    summary = describe_folder(tmp_path)
    assert summary.splits == {"test": 2, "train": 6, "val": 4}
    assert summary.groups is None
    text, experiment = started(summary)
    assert "holdout: test" in text
    assert experiment.data.reader == "split_folders"


def test_groups_are_suggested_where_names_repeat_them(tmp_path, paint):
    for patient in range(100, 112):
        for number in range(2):
            label = "CNV" if patient % 2 else "NORMAL"
            paint(tmp_path / label / f"{label}-{patient}-{number}.jpeg")
    summary = describe_folder(tmp_path)
    assert summary.groups is not None
    assert summary.fewest_groups == 6
    _, experiment = started(summary)
    assert experiment.data.groups.pattern == summary.groups
    assert sorted(set(read_manifest(experiment.data).table["group"])) == [str(patient) for patient in range(100, 112)]


def test_groups_below_the_class_folder_are_suggested(tmp_path, paint):
    for number in range(20):
        paint(tmp_path / "ab"[number % 2] / f"child {number % 10}x" / f"img{number}.png")
    match = re.search(describe_folder(tmp_path).groups, "a/child 4x/img4.png")
    assert match["group"] == "child 4x" or match["group"] == "4"


def test_too_few_groups_are_told_and_left_out(tmp_path, paint):
    for number in range(24):
        paint(tmp_path / "ab"[number % 2] / f"patient{number % 6}_{number}.png")
    summary = describe_folder(tmp_path)
    assert summary.fewest_groups == 3
    text, experiment = started(summary)
    assert experiment.data.groups is None
    assert "only 3 groups" in " ".join(text.replace("#", "").split())


def test_numbered_images_are_not_taken_for_groups(tmp_path, paint):
    for number in range(20):
        paint(tmp_path / "ab"[number % 2] / f"new face_{number:03d}_0.png")
    assert describe_folder(tmp_path).groups is None


def test_loose_files_get_rules_from_their_first_words(tmp_path, paint):
    for number in range(3):
        for name in (f"CNV-{number}.png", f"DME_{number}.png", f"CNVx{number}.png"):
            paint(tmp_path / name)
    summary = describe_folder(tmp_path)
    assert summary.reader == "loose_files"
    assert summary.classes == {"CNV": 3, "CNVx": 3, "DME": 3}
    _, experiment = started(summary)
    assert read_manifest(experiment.data).table["label"].value_counts().to_dict() == {"CNV": 3, "CNVx": 3, "DME": 3}


def test_loose_files_that_tell_nothing_get_rules_to_fill_in(tmp_path, paint):
    for number in range(3):
        paint(tmp_path / f"{number}.png")
    summary = describe_folder(tmp_path)
    assert summary.classes == {}
    text, experiment = started(summary)
    assert "examples" in text
    assert len(experiment.data.labels.rules) == 2


def test_fold_folders_are_described_with_or_without_classes(tmp_path, paint):
    for number in range(8):
        paint(tmp_path / "with" / f"fold_{number % 2}" / "ab"[number // 4] / f"{number}.png")
        paint(tmp_path / "loose" / f"Fold{number % 2}" / f"{'sick' if number < 4 else 'well'}{number}.png")
    with_classes, loose = describe_folder(tmp_path / "with"), describe_folder(tmp_path / "loose")
    assert with_classes.folds == {"fold_0": 4, "fold_1": 4}
    assert with_classes.classes == {"a": 4, "b": 4}
    assert loose.folds == {"Fold0": 4, "Fold1": 4}
    assert loose.classes == {"sick": 4, "well": 4}
    assert read_manifest(started(loose)[1].data).classes == ("sick", "well")


def test_an_unreadable_image_does_not_stop_the_first_look(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/1.png").write_bytes(b"")
    assert describe_folder(tmp_path).median_size == (8, 6)


def test_folders_that_no_reader_takes_say_why(tmp_path, paint):
    with pytest.raises(InputError, match="holds no image"):
        describe_folder(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        describe_folder(tmp_path / "missing")
    paint(tmp_path / "train/a/1.png")
    paint(tmp_path / "test/1.png")
    with pytest.raises(InputError, match=r"test/1\.png"):
        describe_folder(tmp_path)


def test_a_table_is_described_with_its_columns_and_groups(tmp_path, paint):
    rows = ["image,labels,patient_id,site"]
    for number in range(24):
        paint(tmp_path / "train_images" / f"leaf{number}.jpg", size=(20, 10))
        rows.append(f"leaf{number},{'scab rust' if number % 2 else 'healthy'},{number % 12},{number % 3}")
    paint(tmp_path / "test_images/other.jpg")
    (tmp_path / "train.csv").write_text("\n".join(rows))
    summary = describe_folder(tmp_path)
    assert (summary.reader, summary.n_images, summary.median_size) == ("table", 24, (20, 10))
    assert summary.classes == {"healthy": 12, "scab rust": 12}
    assert (summary.group_column, summary.groups, summary.fewest_groups) == ("patient_id", None, 6)
    data = read_back(summary)
    assert (str(data.table.file), data.table.image, data.table.label) == ("train.csv", "image", "labels")
    records = read_records(data)
    assert len(records) == 24
    assert set(groups_of(records, data, tmp_path)) == {str(number) for number in range(12)}


def test_a_column_of_groups_that_is_taken_anyway_is_never_commented_out(tmp_path, paint):
    rows = ["image,label,group"]
    for number in range(8):
        paint(tmp_path / f"{number}.png")
        rows.append(f"{number},{'ab'[number % 2]},{number % 4}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    summary = describe_folder(tmp_path)
    assert (summary.reader, summary.fewest_groups) == ("table", 2)
    assert read_back(summary).groups.column == "group"
    assert "Lower n_splits" in starter_file(summary, name="x")


def test_arrays_are_described_and_those_without_labels_left_out(tmp_path):
    for name, count in (("training", 10), ("validation", 5), ("test", 3)):
        np.save(tmp_path / f"{name}.npy", np.zeros((count, 6, 8, 3), np.uint8))
        if name != "test":
            grades = "".join(f"{number % 5}\n" for number in range(count))
            (tmp_path / f"{name}.csv").write_text("diagnosis\n" + grades)
    summary = describe_folder(tmp_path)
    assert (summary.reader, summary.n_images, summary.n_unlabelled) == ("arrays", 15, 3)
    assert (summary.splits, summary.median_size) == ({"train": 10, "val": 5}, (8, 6))
    data = read_back(summary)
    assert (data.unlabelled, data.holdout, data.table.label, data.table.file) == ("skip", "none", "diagnosis", None)
    assert data.classes == ["0", "1", "2", "3", "4"]
    assert sum(record.flaw is None for record in read_records(data)) == 15


def test_cells_of_several_labels_are_taken_for_them_one_by_one(tmp_path):
    text, experiment = started(describe_folder(leaf_table(tmp_path / "leaves")))
    assert "5 labels" in text
    labels = experiment.data.labels
    assert (labels.kind, labels.separator, labels.none_label) == ("multilabel", " ", "healthy")
    manifest = read_manifest(experiment.data)
    assert manifest.classes == tuple(sorted(LEAF_LABELS))
    assert set(manifest.y.sum(axis=1)) == {0, 1, 2, 3}
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("  path:"))


def test_groups_are_counted_for_each_label_and_not_for_each_combination(tmp_path, paint):
    rows = ["image,labels,patient"]
    for number in range(36):
        paint(tmp_path / f"{number:02d}.png", seed=number)
        rows.append(f"{number:02d}.png,{('wet', 'torn', 'healthy')[number // 2 % 3]},{number // 2}")
    paint(tmp_path / "36.png", seed=36)
    rows.append("36.png,wet torn,18")
    (tmp_path / "bags.csv").write_text("\n".join(rows))
    summary = describe_folder(tmp_path)
    assert (summary.group_column, summary.fewest_groups) == ("patient", 7)
    assert '\n  groups: {column: "patient"}' in started(summary)[0]


def test_a_none_label_that_is_not_known_is_left_to_people(tmp_path, paint):
    rows = ["image,labels"]
    for number, cell in enumerate(["wet;torn", "wet", "torn", "fine"] * 2):
        paint(tmp_path / f"{number}.png", seed=number)
        rows.append(f"{number}.png,{cell}")
    (tmp_path / "bags.csv").write_text("\n".join(rows))
    text, experiment = started(describe_folder(tmp_path))
    assert "\n    # none_label:" in text
    assert (experiment.data.labels.separator, experiment.data.labels.none_label) == (";", None)
    assert experiment.data.classes == ["fine", "torn", "wet"]


@pytest.mark.parametrize(
    ("cells", "separator", "labels", "none_label"),
    [
        (["Mass|Effusion", "Mass", "Effusion", "No Finding"], "|", ("Effusion", "Mass"), "No Finding"),
        (["leaf rust, scab", "leaf rust", "scab"], ",", ("leaf rust", "scab"), None),
        (["a b", "b", "a", "normal b", "normal"], " ", ("a", "b", "normal"), None),
        (["a b", "b", "a", "none", "normal"], " ", ("a", "b", "none", "normal"), None),
    ],
)
def test_joined_labels_are_told_apart(cells, separator, labels, none_label):
    found = guess_joined(cells)
    assert (found.separator, found.labels, found.none_label) == (separator, labels, none_label)


@pytest.mark.parametrize(
    "cells", [["large leaf", "small leaf"], ["Pain", "No pain"], ["a a", "a", "b"], ["healthy", "scab rust"], []]
)
def test_names_of_several_words_are_no_joined_labels(cells):
    assert guess_joined(cells) is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["0", "1", "2", "3", "4"], True),
        (["2", "1", "3"], True),
        (["0", "1"], False),
        (["0", "1", "3"], False),
        (["2", "3", "4"], False),
        (["1", "1.5", "2"], False),
        (["0", "1", "mild"], False),
        (["-1", "0", "1"], False),
    ],
)
def test_grades_are_whole_numbers_in_a_row(labels, expected):
    assert are_grades(labels) is expected


def test_numbers_in_a_row_may_be_grades_and_the_file_tells_how_to_say_so(tmp_path):
    text, experiment = started(describe_folder(retina_arrays(tmp_path / "eyes")))
    assert experiment.data.labels.kind == "auto"
    text = text.replace("  # labels:\n  #   kind: ordinal", "  labels:\n    kind: ordinal")
    graded = Experiment.model_validate(yaml.safe_load(text))
    assert read_manifest(graded.data).targets.kind == "ordinal"
    assert graded.metric == "quadratic_kappa"

from __future__ import annotations

import os
import shutil

import pytest

from tasks.config import Data, InputError, LabelRule, Labels
from tasks.dataset.sources import reader_registry
from tasks.dataset.sources.readers import ImageRecord, find_reader, read_records, register_reader
from tasks.dataset.sources.tree import image_files, other_files


def found(data):
    return [(record.relative, record.label, record.split, record.fold) for record in read_records(data)]


def test_class_folders_give_labels_at_any_depth(tmp_path, paint):
    for name in ("cat/1.png", "cat/deep/er/2.PNG", "dog/1.jpg"):
        paint(tmp_path / name)
    assert found(Data(path=tmp_path)) == [
        ("cat/1.png", "cat", None, None),
        ("cat/deep/er/2.PNG", "cat", None, None),
        ("dog/1.jpg", "dog", None, None),
    ]


def test_split_folders_give_splits_under_all_their_names(tmp_path, paint):
    for name in ("Train/a/1.png", "valid/a/2.png", "validation/b/3.png", "test/b/4.png"):
        paint(tmp_path / name)
    assert [(label, split) for _, label, split, _ in found(Data(path=tmp_path))] == [
        ("a", "train"),
        ("b", "test"),
        ("a", "val"),
        ("b", "val"),
    ]


def test_an_empty_or_imageless_folder_beside_the_splits_does_not_hide_them(tmp_path, paint):
    for name in ("train/a/1.png", "test/b/2.png"):
        paint(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/readme.txt").write_text("x")
    assert {split for _, _, split, _ in found(Data(path=tmp_path))} == {"train", "test"}


def test_splits_beside_other_image_folders_are_not_guessed(tmp_path, paint):
    for name in ("train/a/1.png", "test/b/2.png", "extra/c/3.png"):
        paint(tmp_path / name)
    with pytest.raises(InputError, match="extra"):
        read_records(Data(path=tmp_path))
    assert {label for _, label, _, _ in found(Data(path=tmp_path, reader="class_folders"))} == {
        "train",
        "test",
        "extra",
    }


def test_a_class_named_train_is_a_class(tmp_path, paint):
    for name in ("train/1.png", "plane/2.png"):
        paint(tmp_path / name)
    assert [label for _, label, _, _ in found(Data(path=tmp_path))] == ["plane", "train"]


def test_fold_folders_with_classes_and_with_loose_images(tmp_path, paint):
    for name in ("fold_01/a/1.png", "fold_01/b/1.png", "fold_02/a/2.png"):
        paint(tmp_path / "classes" / name)
    assert found(Data(path=tmp_path / "classes")) == [
        ("fold_01/a/1.png", "a", None, "fold_01"),
        ("fold_01/b/1.png", "b", None, "fold_01"),
        ("fold_02/a/2.png", "a", None, "fold_02"),
    ]
    for name in ("Fold0/x_sick.png", "Fold1/x_well.png"):
        paint(tmp_path / "loose" / name)
    labels = Labels(rules=[LabelRule(label="sick", contains="sick")], otherwise="well")
    assert found(Data(path=tmp_path / "loose", labels=labels)) == [
        ("Fold0/x_sick.png", "sick", None, "Fold0"),
        ("Fold1/x_well.png", "well", None, "Fold1"),
    ]


def test_loose_files_take_labels_from_contains_glob_and_regex(tmp_path, paint):
    for name in ("CNV-1.png", "x_drusen.png", "007.png"):
        paint(tmp_path / name)
    rules = [
        LabelRule(label="cnv", regex="^cnv-[0-9]"),
        LabelRule(label="drusen", glob="*_drusen.png"),
        LabelRule(label="agent", contains=["007", "008"]),
    ]
    assert [label for _, label, _, _ in found(Data(path=tmp_path, labels=Labels(rules=rules)))] == [
        "agent",
        "cnv",
        "drusen",
    ]
    strict = Labels(rules=rules, ignore_case=False, otherwise="rest")
    assert [label for _, label, _, _ in found(Data(path=tmp_path, labels=strict))] == ["agent", "rest", "drusen"]


def test_an_empty_list_of_texts_fits_nothing(tmp_path, paint):
    paint(tmp_path / "a.png")
    labels = Labels(rules=[LabelRule(label="a", contains=[])])
    with pytest.raises(InputError, match="No rule"):
        read_records(Data(path=tmp_path, labels=labels))


def test_rules_look_at_the_file_name_and_not_at_its_folder(tmp_path, paint):
    paint(tmp_path / "sick/1.png")
    labels = Labels(rules=[LabelRule(label="sick", contains="sick")], otherwise="well")
    assert [label for _, label, _, _ in found(Data(path=tmp_path, labels=labels))] == ["well"]


def test_clashing_rules_and_images_without_a_rule_are_named(tmp_path, paint):
    for name in ("sick_well.png", "sick.png", "other.png"):
        paint(tmp_path / name)
    rules = [LabelRule(label="sick", contains="sick"), LabelRule(label="well", contains="well")]
    with pytest.raises(InputError, match=r"sick_well\.png \(sick and well\)"):
        read_records(Data(path=tmp_path, labels=Labels(rules=rules)))
    (tmp_path / "sick_well.png").unlink()
    with pytest.raises(InputError, match=r"1 image .*other\.png"):
        read_records(Data(path=tmp_path, labels=Labels(rules=rules)))


def test_two_rules_with_one_label_do_not_clash(tmp_path, paint):
    paint(tmp_path / "sem_rest.png")
    rules = [LabelRule(label="No_pain", contains="sem"), LabelRule(label="No_pain", contains="rest")]
    assert [label for _, label, _, _ in found(Data(path=tmp_path, labels=Labels(rules=rules)))] == ["No_pain"]


def test_images_outside_class_folders_are_named(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    paint(tmp_path / "astray.png")
    with pytest.raises(InputError, match=r"astray\.png"):
        read_records(Data(path=tmp_path))


def test_unlabelled_images_in_a_test_folder_are_named(tmp_path, paint):
    for name in ("train/a/1.png", "train/b/1.png", "test/1.png"):
        paint(tmp_path / name)
    with pytest.raises(InputError, match=r"test/1\.png"):
        read_records(Data(path=tmp_path))


def test_labels_with_blanks_and_other_letters_survive_and_two_spellings_are_one(tmp_path, paint):
    paint(tmp_path / "Äpfel grün/1.png")  # composed
    paint(tmp_path / "deep" / "x.png")
    shutil.rmtree(tmp_path / "deep")
    paint(tmp_path / "A\u0308pfel gru\u0308n/2.png")  # decomposed, as some systems store it
    paint(tmp_path / "梨/3.png")
    assert {label for _, label, _, _ in found(Data(path=tmp_path))} == {"Äpfel grün", "梨"}


def test_hidden_files_are_skipped_and_others_counted(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    for name in ("a/.DS_Store", "a/._1.png", ".git/x.png", "__MACOSX/a/1.png", "notes.txt", "a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    assert image_files(tmp_path) == ["a/1.png"]
    assert len(other_files(tmp_path)) == 2


def test_links_are_followed_once_and_loops_end(tmp_path, paint):
    paint(tmp_path / "data/a/1.png")
    paint(tmp_path / "elsewhere/2.png")
    (tmp_path / "data/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/a/up").symlink_to(tmp_path / "data")
    (tmp_path / "elsewhere/self").symlink_to(tmp_path / "elsewhere")
    assert image_files(tmp_path / "data") == ["a/1.png", "b/2.png"]


def test_a_pipe_with_an_image_name_is_not_opened(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    os.mkfifo(tmp_path / "a/2.png")
    assert image_files(tmp_path) == ["a/1.png"]
    assert other_files(tmp_path) == ["a/2.png"]


def test_names_that_are_not_utf8_are_refused(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    (tmp_path / "a" / os.fsdecode(b"\xff.png")).touch()
    with pytest.raises(InputError, match="UTF-8"):
        read_records(Data(path=tmp_path))


def test_a_missing_folder_is_told_with_its_nearest_name(tmp_path, paint):
    paint(tmp_path / "images/a/1.png")
    with pytest.raises(InputError, match=f"{tmp_path}/images"):
        read_records(Data(path=tmp_path / "imagse"))
    with pytest.raises(InputError, match=f"{tmp_path}/images"):
        read_records(Data(path=tmp_path / "imagse" / "deeper"))


def test_a_folder_without_images_and_a_file_are_refused(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(InputError, match="holds no image"):
        read_records(Data(path=tmp_path))
    with pytest.raises(InputError, match="is a file"):
        read_records(Data(path=tmp_path / "x.txt"))


def test_an_unknown_reader_is_told_with_the_nearest_and_all_known(tmp_path):
    with pytest.raises(InputError, match=r"class_folder'.*class_folders\?.*fold_folders.*split_folders"):
        find_reader("class_folder", tmp_path)


def test_a_reader_of_ones_own_can_be_added_but_none_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(reader_registry, "_READERS", dict(reader_registry._READERS))

    @register_reader("mine")
    def read_mine(root, data):
        yield ImageRecord("b", "x")
        yield ImageRecord("a", "y")

    assert [record.relative for record in read_records(Data(path=tmp_path, reader="mine"))] == ["a", "b"]
    with pytest.raises(ValueError, match="class_folders"):
        register_reader("class_folders")(read_mine)

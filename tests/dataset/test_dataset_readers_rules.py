"""Labels that a regular expression finds, images without a label, holdouts and groups."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.config import Data, Groups, InputError, LabelRule, Labels
from tasks.dataset.sources.groups import groups_of
from tasks.dataset.sources.readers import read_records


def labels_of(data):
    return {record.relative: record.label for record in read_records(data)}


def test_a_named_group_gives_the_label_itself_in_fold_folders(tmp_path, paint):
    for name in ("fold_01/CNV-1.png", "fold_01/DME-2.png", "fold_02/cafe\u0301-3.png"):
        paint(tmp_path / name)
    rules = Labels(rules=[LabelRule(regex=r"^(?P<label>\w+)-")])
    assert labels_of(Data(path=tmp_path, labels=rules)) == {
        "fold_01/CNV-1.png": "CNV",
        "fold_01/DME-2.png": "DME",
        "fold_02/cafe\u0301-3.png": "café",
    }


def test_a_found_label_clashes_with_another_rule_and_agrees_with_the_same(tmp_path, paint):
    for name in ("f/x_sick.png", "f/y_well.png"):
        paint(tmp_path / name)
    find = LabelRule(regex=r"_(?P<label>sick|well)")
    same = Labels(rules=[find, LabelRule(label="sick", contains="x_")])
    assert labels_of(Data(path=tmp_path, reader="loose_files", labels=same)) == {
        "f/x_sick.png": "sick",
        "f/y_well.png": "well",
    }
    other = Labels(rules=[find, LabelRule(label="rest", contains="y_")])
    with pytest.raises(InputError, match=r"f/y_well\.png \(well and rest\)"):
        labels_of(Data(path=tmp_path, reader="loose_files", labels=other))


def test_a_group_that_finds_nothing_does_not_fit(tmp_path, paint):
    paint(tmp_path / "fold1/_1.png")
    paint(tmp_path / "fold2/a_1.png")
    rules = [LabelRule(regex=r"^(?P<label>[a-z]*)_")]
    with pytest.raises(InputError, match=r"No rule .* 1 image .*fold1/_1\.png"):
        read_records(Data(path=tmp_path, labels=Labels(rules=rules)))
    found = read_records(Data(path=tmp_path, labels=Labels(rules=rules), unlabelled="skip"))
    assert [(record.label, record.flaw) for record in found] == [("", "it has no label"), ("a", None)]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"regex": "(?P<label>x)", "label": "y"}, "leave the key `label` out"),
        ({"regex": "x"}, "needs `label`"),
        ({"glob": "*"}, "needs `label`"),
        ({"label": "x"}, "exactly one of"),
        ({"label": "x", "regex": "("}, "not a regular expression"),
    ],
)
def test_rules_that_say_too_much_or_too_little_are_refused(rule, said):
    with pytest.raises(ValidationError, match=said):
        LabelRule.model_validate(rule)


def test_images_in_no_class_folder_are_left_out_if_the_settings_say_so(tmp_path, paint):
    for name in ("train/a/1.png", "train/b/2.png", "test/3.png"):
        paint(tmp_path / name)
    with pytest.raises(InputError, match=r"test/3\.png.*data\.unlabelled: skip"):
        read_records(Data(path=tmp_path))
    found = read_records(Data(path=tmp_path, unlabelled="skip"))
    assert [record.relative for record in found if record.flaw] == ["test/3.png"]


def test_the_holdout_is_what_the_settings_name(tmp_path, paint):
    assert Data(path=tmp_path).held_out == {"test"}
    assert Data(path=tmp_path, holdout="none").held_out == set()
    assert Data(path=tmp_path, holdout=["val", "test"]).held_out == {"val", "test"}
    with pytest.raises(ValidationError):
        Data(path=tmp_path, holdout="train")
    for name in ("train/a/1.png", "test/b/2.png"):
        paint(tmp_path / name)
    assert len(read_records(Data(path=tmp_path, holdout="test"))) == 2
    with pytest.raises(InputError, match=r"no split val with labels .*the splits test, train"):
        read_records(Data(path=tmp_path, holdout="val"))


def test_groups_come_from_a_pattern_or_a_table_of_their_own(tmp_path, paint):
    for name in ("a/p1-1.png", "a/p2-1.png", "b/p1-2.png"):
        paint(tmp_path / name)
    (tmp_path / "patients.csv").write_text("file,patient\np1-1,Ann\na/p2-1.png,Bob\np1-2.png,Ann\nelsewhere,Cid\n")

    def groups(**settings):
        data = Data(path=tmp_path, **settings)
        return groups_of(read_records(data), data, tmp_path)

    assert groups() == [None] * 3
    assert groups(groups="(?P<group>p[0-9])") == ["p1", "p2", "p1"]
    assert groups(groups={"pattern": "(?P<group>p[0-9])"}) == ["p1", "p2", "p1"]
    assert groups(groups=Groups(table="patients.csv")) == ["Ann", "Bob", "Ann"]
    assert groups(groups={"column": "none"}) == [None] * 3
    with pytest.raises(InputError, match=r"finds no group in 1 image of 3: a/p2-1\.png"):
        groups(groups="(?P<group>p1)")
    with pytest.raises(InputError, match=r"data\.groups\.column: patient .*without one"):
        groups(groups={"column": "patient"})
    with pytest.raises(InputError, match=r"has no column 'patent'\. Did you mean patient\?"):
        groups(groups={"table": "patients.csv", "column": "patent"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a/1.png,x\nb/1.png,x\n", r"no group for 1 image of 3: a/2\.png"),
        ("a/1.png,x\na/2.png,\nb/1.png,y\n", r"no group for 1 image of 3: a/2\.png"),
        ("1.png,x\na/2.png,y\n", r"line 2: 1\.png \(means a/1\.png and b/1\.png\)"),
        ("a/1.png,x\na/1.png,y\n", r"line 3: a/1\.png \(is in x and y\)"),
    ],
)
def test_a_table_of_groups_that_leaves_something_open_is_refused(tmp_path, paint, text, said):
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        paint(tmp_path / name)
    (tmp_path / "groups.csv").write_text("image,group\n" + text)
    data = Data(path=tmp_path, groups={"table": "groups.csv"})
    with pytest.raises(InputError, match=said):
        groups_of(read_records(data), data, tmp_path)


def test_a_table_of_groups_without_such_a_column_is_refused(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    (tmp_path / "sites.csv").write_text("image,site\na/1.png,x\n")
    data = Data(path=tmp_path, groups={"table": "sites.csv"})
    with pytest.raises(InputError, match=r"no column named group or patient.*It has: image, site"):
        groups_of(read_records(data), data, tmp_path)


@pytest.mark.parametrize("groups", [{}, {"pattern": "(?P<group>x)", "column": "y"}, {"image": "x", "column": "y"}, "x"])
def test_settings_of_groups_that_say_two_things_or_nothing_are_refused(tmp_path, groups):
    with pytest.raises(ValidationError):
        Data(path=tmp_path, groups=groups)

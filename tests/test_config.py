from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.backbones import registry
from tasks.config import (
    MISSION,
    Augmentation,
    Data,
    Experiment,
    Folds,
    Head,
    LabelRule,
    Runner,
    Training,
    merged,
    normalised_backbones,
)


def experiment(**changes):
    return Experiment.model_validate({"name": "a", "data": {"path": "images"}} | changes)


def test_name_and_data_are_all_that_is_needed():
    settings = experiment()
    assert tuple(settings.backbones) == MISSION
    assert settings.folds.n_splits == 5
    assert settings.deterministic
    for part in ({"name": "a"}, {"data": {"path": "x"}}):
        with pytest.raises(ValidationError):
            Experiment.model_validate(part)


def test_the_missions_backbones_are_registered():
    assert set(MISSION) <= set(registry.names())


@pytest.mark.parametrize(
    "wrong",
    [
        {"extra": 1},
        {"training": {"epoch": 3}},
        {"backbones": {"ncnn": {"siez": 3}}},
        {"backbones": {"ncnn": {"training": {"epoch": 3}}}},
        {"backbones": {"ncnn": {"training": {"optimizer": {"lr": 3}}}}},
        {"data": {"path": "x", "labels": {"rules": [{"label": "a", "contain": "b"}]}}},
        {"training": {"epochs": 0}},
        {"training": {"epochs": "many"}},
        {"training": {"optimizer": {"learning_rate": 0}}},
        {"folds": {"n_splits": 1}},
        {"folds": {"validation_fraction": 1.0}},
        {"model": {"size": 4}},
        {"seed": -1},
        {"seed": 2**32},
        {"runner": {"workers": 0}},
        {"runner": {"workers": "all"}},
        {"name": ""},
        {"name": " a"},
        {"name": "a\nb"},
        {"name": "a" * 201},
        {"backbones": {}},
        {"backbones": []},
        {"backbones": ["ncnn", "ncnn"]},
        {"explanation": {"methods": ["smothgrad"]}},
        {"explanation": {"methods": []}},
        {"explanation": {"alpha": 1.1}},
        {"data": {"path": "x", "groups": "([0-9]+)"}},
        {"data": {"path": "x", "groups": "(?P<group>[0-9]+"}},
    ],
    ids=str,
)
def test_what_is_not_allowed_is_refused(wrong):
    with pytest.raises(ValidationError):
        experiment(**wrong)


def test_values_do_not_change_once_read():
    settings = experiment()
    with pytest.raises(ValidationError):
        settings.seed = 3
    with pytest.raises(ValidationError):
        settings.training.epochs = 3


def test_settings_come_back_from_json_as_they_were():
    settings = experiment(
        backbones={"ncnn": {"size": 34, "head": {"units": [8]}, "training": {"epochs": 2}}, "vgg16": None},
        data={"path": "x", "labels": {"rules": [{"label": "a", "contains": ["b", "c"]}]}, "groups": "(?P<group>.)"},
        runner={"timeout_minutes": 1.5},
    )
    assert Experiment.model_validate(settings.model_dump(mode="json")) == settings
    assert Experiment.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("ncnn", ["ncnn"]),
        (["vgg16", "ncnn"], ["vgg16", "ncnn"]),
        ({"ncnn": None, "vgg16": {"size": 64}}, ["ncnn", "vgg16"]),
    ],
)
def test_backbones_are_a_name_names_or_a_mapping_in_the_order_given(given, names):
    assert list(experiment(backbones=given).backbones) == names


def test_a_name_alone_takes_every_setting_from_model():
    settings = experiment(backbones=["vgg16"], model={"size": 64, "freeze": "none", "weights": "imagenet"})
    assert settings.model_of("vgg16") == settings.model
    assert settings.training_of("vgg16") == settings.training


def test_a_backbones_own_settings_lie_over_the_common_ones():
    settings = experiment(
        model={"size": 96, "freeze": "none", "head": {"kind": "gap", "units": [16]}},
        training={"epochs": 9, "optimizer": {"name": "sgd", "momentum": 0.5}},
        backbones={
            "ncnn": {"size": 120, "training": {"epochs": 3, "optimizer": {"learning_rate": 0.1}}},
            "vgg16": {"head": {"kind": "flatten"}},
        },
    )
    own = settings.model_of("ncnn")
    assert (own.size, own.freeze, own.head.units) == (120, "none", [16])
    training = settings.training_of("ncnn")
    assert (training.epochs, training.optimizer.name, training.optimizer.momentum) == (3, "sgd", 0.5)
    assert training.optimizer.learning_rate == 0.1
    assert (settings.model_of("vgg16").size, settings.model_of("vgg16").head.kind) == (96, "flatten")
    assert settings.training_of("vgg16").epochs == 9
    assert settings.training.epochs == 9


def test_a_backbones_own_head_stands_alone():
    common = {"kind": "flatten", "units": [4096, 4096], "dropout": 0.5}
    settings = experiment(model={"head": common}, backbones={"ncnn": {"head": {"kind": "gap"}}})
    assert settings.model_of("ncnn").head == Head(kind="gap")


@pytest.mark.parametrize(
    ("stop", "cut", "fits"), [(6, 3, True), (3, 3, False), (3, 6, False), (None, 6, True), (3, None, True)]
)
def test_the_learning_rate_is_cut_before_training_stops(stop, cut, fits):
    patience = {"early_stopping_patience": stop, "reduce_lr_patience": cut}
    if fits:
        assert Training(**patience).reduce_lr_patience == cut
    else:
        with pytest.raises(ValidationError, match="or training stops before the rate is ever cut"):
            Training(**patience)
        with pytest.raises(ValidationError, match="before the rate is ever cut"):
            experiment(backbones={"ncnn": {"training": patience}})


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"contains": "rest"}, True),
        ({"contains": ["sem", "rest"]}, True),
        ({"glob": "*_sick_*"}, True),
        ({"regex": "^s"}, True),
        ({}, False),
        ({"glob": "*", "regex": "."}, False),
        ({"regex": "("}, False),
    ],
)
def test_a_label_rule_has_exactly_one_way_to_fit(rule, fits):
    if fits:
        assert LabelRule(label="a", **rule).label == "a"
    else:
        with pytest.raises(ValidationError):
            LabelRule(label="a", **rule)


def test_one_text_to_contain_is_a_list_of_one():
    assert LabelRule(label="a", contains="rest").contains == ["rest"]


def test_groups_need_the_name_that_is_looked_for():
    assert Data(path="x", groups=r"patient_(?P<group>\d+)").groups
    with pytest.raises(ValidationError, match="named group"):
        Data(path="x", groups=r"patient_(?P<patient>\d+)")


def test_augmentation_is_off_until_something_is_asked_for():
    assert not Augmentation().active
    for name in Augmentation().changes:
        value = True if name.endswith("flip") else 0.1
        assert Augmentation(**{name: value}).active
    assert not Augmentation(mode="cached", variants=9).active


def test_methods_named_twice_count_once():
    assert experiment(explanation={"methods": ["gradcam", "gradcam"]}).explanation.methods == ["gradcam"]


@pytest.mark.parametrize("workers", [1, 7, "auto"])
def test_workers_are_a_number_or_auto(workers):
    assert Runner(workers=workers).workers == workers


def test_merging_goes_mapping_by_mapping_and_changes_neither():
    base, over = {"a": {"b": 1, "c": [1, 2]}, "d": 3}, {"a": {"c": [9]}, "d": {"e": 4}, "f": None}
    assert merged(base, over) == {"a": {"b": 1, "c": [9]}, "d": {"e": 4}, "f": None}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert over == {"a": {"c": [9]}, "d": {"e": 4}, "f": None}
    assert merged({"a": {"b": 1}}, {"a": None}) == {"a": None}


def test_what_stands_for_no_backbones_is_left_for_the_form_to_refuse():
    for value in (None, 3, [1, 2]):
        assert normalised_backbones(value) == value
        with pytest.raises(ValidationError):
            experiment(backbones=value)


def test_every_setting_is_described_for_editors():
    schema = Experiment.model_json_schema()
    forms = [schema, *schema["$defs"].values()]
    for form in forms:
        assert form.get("additionalProperties") is False
    missing = [
        f"{form['title']}.{name}"
        for form in forms
        for name, field in form["properties"].items()
        if "description" not in field and "$ref" not in str(field)
    ]
    assert missing == []


def test_fold_kinds_are_those_of_the_design():
    for kind in ("auto", "stratified", "stratified_group", "ready_made"):
        assert Folds(kind=kind).kind == kind
    with pytest.raises(ValidationError):
        Folds(kind="random")

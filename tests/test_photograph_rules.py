from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.config import Experiment, InputError
from tasks.planning import check_settings


def experiment(**changes):
    settings = {
        "name": "seen",
        "data": {"path": "photographs", "labels": {"kind": "none"}},
        "model": {"weights": "imagenet", "head": "pretrained"},
        "backbones": ["vgg16", "xception"],
    }
    return Experiment.model_validate(settings | changes)


def refused(**changes):
    with pytest.raises(ValidationError) as caught:
        experiment(**changes)
    return str(caught.value)


def test_what_has_a_use_for_photographs_is_taken():
    found = experiment(
        data={"path": "p", "labels": {"kind": "none"}, "on_corrupt": "skip", "preprocessing": {"resize": "crop"}},
        explanation={"top": 3, "classes": ["zebra"], "colormap": "jet", "format": "jpeg"},
        backbones={"vgg16": {"weights": "my.h5"}, "xception": None},
        runner={"retries": 0},
    )
    assert [found.model_of(name).head.kind for name in found.backbones] == ["pretrained", "pretrained"]


def test_what_is_read_again_from_its_json_is_the_same():
    once = experiment(explanation={"classes": ["zebra"]})
    assert Experiment.model_validate(once.model_dump(mode="json")) == once


LABELS = {"kind": "none"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"folds": {"n_splits": 3}}, "folds: there is a use"),
        ({"training": {"epochs": 3}}, "training: there is a use"),
        ({"evaluation": {"metric": "accuracy"}}, "evaluation: there is a use"),
        ({"data": {"path": "p", "labels": LABELS, "groups": "(?P<group>a)"}}, "data.groups: there is a use"),
        ({"data": {"path": "p", "labels": LABELS | {"otherwise": "x"}}}, "data.labels.otherwise: there is a use"),
        ({"explanation": {"max_images": 3}}, "explanation.max_images: there is a use"),
        ({"model": {"weights": "imagenet", "head": "pretrained", "freeze": "none"}}, "model.freeze: there is a use"),
        ({"backbones": {"vgg16": {"training": {"epochs": 2}}}}, "backbones.vgg16: nothing is trained"),
        ({"backbones": {"vgg16": {"freeze": "base"}}}, "backbones.vgg16: nothing is trained"),
        ({"backbones": {"vgg16": {"head": "gap"}, "xception": None}}, "it is not for vgg16"),
        ({"model": {"weights": "imagenet"}}, "it is not for vgg16, xception"),
        ({"model": {"head": "pretrained"}}, "model.weights: none gives vgg16 a classifier of random weights"),
        ({"model": {"weights": "imagenet", "head": {"kind": "pretrained", "units": [3]}}}, "model.head.units"),
        ({"data": {"path": "p"}}, r"model.head: pretrained (vgg16, xception)"),
        ({"data": {"path": "p"}, "model": {}, "explanation": {"top": 3}}, "explanation.top: there is a use"),
        ({"explanation": {"top": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_setting(changes, told):
    assert told in refused(**changes)


def test_what_trains_refuses_photographs_and_names_the_command_for_them():
    with pytest.raises(InputError, match="`foldcam run` explains them"):
        check_settings(experiment())

"""Methods built from an experiment's settings, and how their maps are shown."""

from __future__ import annotations

from typing import get_args

import keras
import numpy as np
import pytest

from tasks.config import Explanation, MethodName
from tasks.explanation.building import build_method, in_colours, shown
from tasks.explanation.methods import get, names


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="early")(image)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="late")(x)
    logits = keras.layers.Dense(3, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, keras.layers.Activation("softmax", name="probabilities")(logits))


def settings(**own):
    few = {
        "smoothgrad": {"n_samples": 3},
        "integrated_gradients": {"steps": 4},
        "occlusion": {"patch": 8, "stride": 8},
        "rise": {"n_masks": 6, "cells": 3},
        "scorecam": {"max_channels": 2},
    }
    return Explanation.model_validate(few | own)


def test_the_form_and_the_registry_know_the_same_methods_in_the_same_order():
    assert list(get_args(MethodName)) == names()


@pytest.mark.parametrize("name", names())
def test_every_method_is_built_from_settings_and_gives_a_finite_map_an_image(model, name):
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    probabilities, maps = build_method(name, model, "late", settings())(images, np.array([0, 2]))
    assert np.allclose(probabilities, model.predict(images, verbose=0), atol=1e-5)
    assert maps.shape[0] == 2
    assert np.isfinite(maps).all()
    assert get(name).signed or maps.min() >= 0


def test_a_method_starts_from_features_only_where_the_registry_says_so(model):
    features = keras.Model(model.inputs, model.get_layer("early").output)
    images = np.random.default_rng(1).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    starting = [name for name in names() if get(name).from_features]
    assert "gradcam" in starting
    for name in starting:
        whole = build_method(name, model, "late", settings())(images, np.array([1, 1]))
        later = build_method(name, model, "late", settings(), start_layer="early")(
            features.predict(images, verbose=0), np.array([1, 1])
        )
        assert np.allclose(whole[1], later[1], atol=1e-6)


def test_settings_reach_the_method(model):
    assert build_method("integrated_gradients", model, "late", settings()).n_passes == 1 + 2 * 5
    assert build_method("rise", model, "late", settings()).n_passes == 1 + 6
    assert build_method("gradcam", model, "late", settings(layer="early")).layers == ("early",)
    assert build_method("gradcam", model, "late", settings(layer="auto")).layers == ("late",)


def test_maps_that_mean_something_above_their_least_value_only_are_shown_so():
    maps = np.array([[[0.5, 0.75]], [[0.2, 0.2]]])
    assert shown("rise", maps).tolist() == [[[0.0, 0.25]], [[0.0, 0.0]]]
    assert shown("gradcam", maps) is maps


def test_colours_end_below_the_maximum_only_where_few_pixels_hold_most_of_a_map():
    maps = np.ones((1, 20, 20), np.float32)
    maps[0, 0, 0] = 100
    assert in_colours("gradcam", maps)[0, 1, 1] == np.float32(0.01)
    assert in_colours("saliency", maps)[0, 1, 1] == 1
    assert in_colours("rise", maps)[0, 1, 1] == 0

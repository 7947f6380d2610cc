"""Maps of an image's likeliest classes and of named ones, by several methods at once."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tasks.config import Explanation
from tasks.explanation.building import build_method
from tasks.explanation.chosen_classes import ChosenClasses

METHODS = ["layercam", "saliency", "occlusion", "gradcam"]
SETTINGS = Explanation(methods=METHODS, occlusion={"patch": 8, "stride": 8})


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="late")(keras.layers.Conv2D(4, 3, name="early")(image))
    logits = keras.layers.Dense(40, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, keras.layers.Activation("softmax", name="probabilities")(logits))


@pytest.mark.parametrize("layer", [None, "early"])
def test_each_methods_maps_are_what_it_gives_alone_for_these_classes(model, layer):
    square = np.random.default_rng(0).uniform(0, 255, (16, 16, 3))
    settings = SETTINGS.model_copy(update={"layer": layer})
    chosen = ChosenClasses(model, "late", settings)
    classes, found = chosen(square, 35, [7, 39])
    order = np.argsort(-found.logits, kind="stable")
    assert classes[:35] == order[:35].tolist()
    assert sorted(classes) == sorted({*classes[:35], 7, 39})
    assert list(found.maps) == METHODS
    for name in METHODS:
        alone = build_method(name, model, "late", settings)
        images = np.repeat(square[None].astype(np.float32), len(classes), axis=0)
        np.testing.assert_allclose(found.maps[name], alone(images, np.array(classes))[1], atol=1e-4, rtol=1e-4)
    assert chosen.layer("gradcam") == (layer or "late")
    assert chosen.layer("saliency") == ""

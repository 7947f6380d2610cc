from __future__ import annotations

from types import SimpleNamespace

import keras
import pytest
from keras import layers

from tasks.backbones.build import build_model
from tasks.config import Explanation
from tasks.explanation.building import build_method
from tasks.explanation.effort import multiply_adds, passes_of


@pytest.fixture(scope="module")
def model():
    image = keras.Input((16, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(image)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.SeparableConv2D(6, 3, padding="valid", name="separable")(x)
    x = layers.Conv2D(4, 1, groups=2, name="grouped")(x)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(5, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="probabilities")(x))


BY_HAND = {
    "conv": 3 * 3 * 3 * 8 * 8 * 6,
    "depthwise": 3 * 3 * 8 * 8 * 6,
    "separable": (3 * 3 * 8 + 8 * 6) * 6 * 4,
    "grouped": 3 * 4 * 6 * 4,
    "logits": 4 * 5,
}


def test_multiply_adds_are_those_counted_by_hand(model):
    assert multiply_adds(model) == sum(BY_HAND.values())
    some = [model.get_layer(name) for name in ("separable", "logits")]
    assert multiply_adds(model, some) == BY_HAND["separable"] + BY_HAND["logits"]
    assert multiply_adds(model, []) == 0


def test_a_layer_that_is_used_twice_counts_twice():
    image = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same")
    assert multiply_adds(keras.Model(image, shared(shared(image)))) == 2 * 81 * 64


@pytest.mark.parametrize(("name", "published"), [("vgg16", 15.3e9), ("resnet50", 3.86e9)])
def test_networks_cost_what_is_published(name, published):
    assert multiply_adds(build_model(name, n_outputs=2, size=224).model) == pytest.approx(published, rel=0.02)


def test_methods_cost_what_they_say():
    built = build_model("ncnn", n_outputs=2, size=34)
    settings = Explanation.model_validate(
        {
            "smoothgrad": {"n_samples": 7},
            "integrated_gradients": {"steps": 9},
            "scorecam": {"max_channels": 5},
            "occlusion": {"patch": 10, "stride": 8},
            "rise": {"n_masks": 30},
        }
    )
    expected = {
        "gradcam": 1,
        "eigencam": 1,
        "saliency": 2,
        "smoothgrad": 15,
        "integrated_gradients": 21,
        "scorecam": 6,
        "occlusion": 17,
        "rise": 31,
    }
    found = {
        name: passes_of(build_method(name, built.model, built.cam_layer, settings), built.model) for name in expected
    }
    assert found == expected
    channels = built.model.get_layer(built.cam_layer).output.shape[-1]
    every = SimpleNamespace(max_channels=None, layers=[built.cam_layer])
    assert passes_of(every, built.model) == 1 + channels

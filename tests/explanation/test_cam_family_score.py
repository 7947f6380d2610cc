"""Score-CAM against a slow loop over channels with a resize of its own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tasks.evaluation.outputs import class_scores
from tasks.explanation import score_cam
from tasks.explanation.score_cam import ScoreCam
from tests.support.cam_nets import SHAPE, ended, hidden_net, pictures, reached

TARGETS = np.array([2, 0, 1, 1])


def resized(channel, height, width):
    """Resize bilinearly with half-pixel centres, edges repeated, place by place."""
    found = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            y = np.clip((row + 0.5) * channel.shape[0] / height - 0.5, 0, channel.shape[0] - 1)
            x = np.clip((column + 0.5) * channel.shape[1] / width - 0.5, 0, channel.shape[1] - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, channel.shape[0] - 1), min(left + 1, channel.shape[1] - 1)
            upper = channel[top, left] * (1 - (x - left)) + channel[top, right] * (x - left)
            lower = channel[bottom, left] * (1 - (x - left)) + channel[bottom, right] * (x - left)
            found[row, column] = upper * (1 - (y - top)) + lower * (y - top)
    return found


def slow_map(model, image, activations, confidence, shown=None):
    """Write eq. 8 out with definition 3, channel by channel; `confidence` reads the target's off an output."""
    channels, masked = [], [np.zeros_like(image)]
    for k in range(activations.shape[-1]) if shown is None else shown:
        mask = resized(activations[..., k], *image.shape[:2])
        if mask.max() > mask.min():
            channels.append(k)
            masked.append((mask - mask.min())[..., None] / (mask.max() - mask.min()) * image)
    outputs = model(np.stack(masked).astype(np.float32), training=False).numpy().astype(np.float64)
    black, *sure = map(confidence, outputs)
    total = np.zeros(activations.shape[:2])
    for k, own in zip(channels, sure, strict=True):
        total += (own - black) * activations[..., k]
    return np.maximum(total, 0)


def close(found, expected, share=1e-4):
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * expected.max())


@pytest.fixture
def in_small_batches(monkeypatch):
    monkeypatch.setattr(score_cam, "BATCH", 4)


@pytest.mark.usefixtures("in_small_batches")
@pytest.mark.parametrize("layer", ["cam", "side"])
def test_maps_are_those_of_a_slow_loop(layer):
    model, images = hidden_net(), pictures()
    probabilities, maps = ScoreCam(model, layer)(images, TARGETS)
    activations = reached(model, layer, images)
    expected = np.stack(
        [
            slow_map(model, image, given, lambda outputs, target=target: outputs[target])
            for image, given, target in zip(images, activations, TARGETS, strict=True)
        ]
    )
    assert maps.dtype == np.float32
    close(maps, expected)
    np.testing.assert_allclose(probabilities, model(images, training=False), atol=1e-6)


def test_one_output_is_sure_of_either_class():
    model, images = hidden_net(1, "sigmoid"), pictures(2)
    activations = reached(model, "cam", images)
    _, maps = ScoreCam(model, "cam")(images, np.array([0, 1]))
    readings = (lambda outputs: 1 - outputs[0], lambda outputs: outputs[0])
    expected = [slow_map(model, *given) for given in zip(images, activations, readings, strict=True)]
    close(maps, np.stack(expected))


def test_a_grade_counts_by_the_probability_of_reaching_it_and_the_lowest_by_that_of_not_reaching_the_second():
    model, images = hidden_net(activation="sigmoid"), pictures(2)
    activations = reached(model, "cam", images)
    _, maps = ScoreCam(model, "cam", class_scores=class_scores("ordinal", 3))(images, np.array([0, 2]))
    readings = (lambda outputs: 1 - outputs[1], lambda outputs: outputs[2])
    expected = [slow_map(model, *given) for given in zip(images, activations, readings, strict=True)]
    close(maps, np.stack(expected))


def test_a_difference_of_two_classes_counts_by_the_share_of_the_one():
    model, images = hidden_net(), pictures(2)
    scores = np.concatenate([np.eye(3), [[1.0], [-1.0], [0.0]]], axis=1).astype(np.float32)
    activations = reached(model, "cam", images)
    _, maps = ScoreCam(model, "cam", class_scores=scores)(images, np.array([3, 1]))
    readings = (lambda outputs: outputs[0] / (outputs[0] + outputs[1]), lambda outputs: outputs[1])
    expected = [slow_map(model, *given) for given in zip(images, activations, readings, strict=True)]
    close(maps, np.stack(expected))


def test_channels_that_show_nothing_are_left_out_and_the_others_bounded_by_their_variance():
    model, images = hidden_net(), pictures()
    kernel, bias = model.get_layer("cam").get_weights()
    kernel[..., 2], bias[2] = 0, 5.0  # the same at all places
    model.get_layer("cam").set_weights([kernel, bias])
    activations = reached(model, "cam", images)
    order = np.argsort(-activations.var(axis=(1, 2)), axis=1)
    assert (order[:, -1] == 2).all()
    for most in (1, 3, 5, 9):
        _, maps = ScoreCam(model, "cam", max_channels=most)(images, TARGETS)
        expected = [
            slow_map(
                model, images[i], activations[i], lambda outputs, i=i: outputs[TARGETS[i]], order[i, : min(most, 5)]
            )
            for i in range(len(images))
        ]
        np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * activations.max())
    with pytest.raises(ValueError, match="1 or more, got 0"):
        ScoreCam(model, "cam", max_channels=0)


def test_an_object_that_the_model_is_sure_of_is_found():
    x = keras.Input(SHAPE)
    y = layers.DepthwiseConv2D(1, use_bias=False, name="cam")(layers.Rescaling(1 / 255)(x))
    model = ended(x, layers.GlobalMaxPooling2D()(y), 2)
    model.get_layer("cam").set_weights([np.ones((1, 1, 3, 1), np.float32)])
    model.get_layer("logits").set_weights([np.array([[9, -9], [0, 0], [0, 0]], np.float32), np.array([-5, 5])])
    image = np.zeros((1, *SHAPE), np.float32)
    image[0, 2:5, 6:9, 0] = 255  # what class 0 is
    image[0, 7:9, 1:3, 1] = 255  # what no class is
    probabilities, maps = ScoreCam(model, "cam")(image)
    assert probabilities[0, 0] > 0.99
    assert maps[0, 2:5, 6:9].min() > 0.9
    maps[0, 2:5, 6:9] = 0
    np.testing.assert_allclose(maps, 0, atol=1e-6)

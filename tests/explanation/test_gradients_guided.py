"""Guided back-propagation against a model whose ReLUs are replaced, and by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tasks.config import InputError
from tasks.explanation.gradients import Saliency
from tasks.explanation.guided import GuidedBackprop
from tests.support.explained_nets import close, curved_net, finished, images, linear_net, slopes_of

IMAGES = images()
MIXED = np.array([2, 0, 1, 2])


@tf.custom_gradient
def guided_relu(x):
    y = tf.nn.relu(x)
    return y, lambda slope: tf.where((y > 0) & (slope > 0), slope, tf.zeros_like(slope))


def with_guided_relus(model):
    """A copy of the model whose ReLUs are the published rule itself."""

    def renewed(layer):
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.Activation(guided_relu, name=layer.name)
        copy = type(layer).from_config(layer.get_config())
        if getattr(layer, "activation", None) is keras.activations.relu:
            copy.activation = guided_relu
        return copy

    copy = keras.models.clone_model(model, clone_function=renewed)
    copy.set_weights(model.get_weights())
    return copy


def test_maps_are_those_of_a_model_whose_relus_are_replaced():
    model = curved_net()
    replaced = with_guided_relus(model)
    probabilities, maps = GuidedBackprop(model)(IMAGES, MIXED)
    for i, target in enumerate(MIXED):
        close(maps[i], np.abs(slopes_of(replaced, IMAGES[i], target)).max(axis=-1))
    np.testing.assert_allclose(probabilities, model(IMAGES, training=False), atol=1e-6)
    assert not np.allclose(maps, Saliency(model)(IMAGES, MIXED)[1], rtol=0, atol=0.01 * maps.max())


@pytest.mark.parametrize(
    "relu", [keras.layers.ReLU(), keras.layers.Activation("relu"), keras.ops.relu, keras.activations.relu, tf.nn.relu6]
)
def test_what_speaks_against_the_class_is_cut_off_at_each_kind_of_relu(relu):
    x = keras.Input((2, 1, 3))
    y = keras.layers.Conv2D(1, 1, use_bias=False, name="channel_sum")(x)
    y = keras.layers.Activation(relu)(y) if relu is tf.nn.relu6 else relu(y)
    model = finished(x, keras.layers.Flatten()(y), 2, "softmax")
    model.get_layer("channel_sum").kernel.assign(np.full((1, 1, 3, 1), 0.5, np.float32))
    model.get_layer("logits").kernel.assign([[2.0, -2.0], [-3.0, 3.0]])
    bright = np.ones((1, 2, 1, 3))
    np.testing.assert_allclose(Saliency(model)(bright, np.array([0]))[1][0, :, 0], [1, 1.5])
    np.testing.assert_allclose(GuidedBackprop(model)(bright, np.array([0]))[1][0, :, 0], [1, 0])
    np.testing.assert_allclose(GuidedBackprop(model)(bright, np.array([1]))[1][0, :, 0], [0, 1.5])
    np.testing.assert_array_equal(GuidedBackprop(model)(-bright, np.array([0]))[1], np.zeros((1, 2, 1)))


def test_layers_with_a_training_mode_run_in_inference_even_where_the_graph_says_otherwise():
    keras.utils.set_random_seed(1)
    x = keras.Input((12, 10, 3))
    y = keras.layers.Conv2D(4, 3, activation="relu")(x)
    y = keras.layers.BatchNormalization(name="norm")(y, training=True)
    y = keras.layers.Dropout(0.5)(keras.layers.Flatten()(y), training=True)
    model = finished(x, y, 3, "softmax")
    expected, _ = Saliency(model)(IMAGES, MIXED)
    explain = GuidedBackprop(model)
    found, maps = explain(IMAGES, MIXED)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(maps, explain(IMAGES, MIXED)[1])
    np.testing.assert_array_equal(model.get_layer("norm").moving_mean.numpy(), np.zeros(4))


def test_the_model_and_its_own_gradient_are_the_same_afterwards():
    model = curved_net()
    before, gradient = model.predict(IMAGES, verbose=0), Saliency(model)(IMAGES, MIXED)[1]
    config = model.get_config()
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]
    GuidedBackprop(model)(IMAGES, MIXED)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), before)
    np.testing.assert_array_equal(Saliency(model)(IMAGES, MIXED)[1], gradient)
    assert model.get_config() == config
    assert [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers] == nodes


def test_a_sequential_model_is_explained_as_its_functional_twin():
    keras.utils.set_random_seed(4)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
    layers += [keras.layers.Dense(3, name="logits"), keras.layers.Softmax()]
    sequential = keras.Sequential([keras.Input((12, 10, 3)), *layers])
    sequential.predict(IMAGES, verbose=0)
    x = y = keras.Input((12, 10, 3))
    for layer in keras.models.clone_model(sequential).layers:
        y = layer(y)
    functional = keras.Model(x, y)
    functional.set_weights(sequential.get_weights())
    for method in (Saliency, GuidedBackprop):
        close(method(sequential)(IMAGES, MIXED)[1], method(functional)(IMAGES, MIXED)[1])


def test_a_model_without_relus_is_refused():
    with pytest.raises(InputError, match="has none"):
        GuidedBackprop(linear_net())
    x = keras.Input((12, 10, 3))
    leaky = keras.layers.LeakyReLU()(keras.layers.ReLU(negative_slope=0.1)(x))
    with pytest.raises(InputError, match="has none"):
        GuidedBackprop(finished(x, keras.layers.Flatten()(leaky), 2, "softmax"))


def test_it_is_marked_as_failing_sanity_checks():
    assert GuidedBackprop.fails_sanity_checks
    assert not Saliency.fails_sanity_checks

"""Eigen-CAM against NumPy's singular value decomposition."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tasks.explanation.eigen_cam import EigenCam
from tests.support.cam_nets import SHAPE, ended, hidden_net, pictures, reached


def by_svd(activations):
    """Give an image's places on the first right singular vector, turned so that the sum is not negative."""
    height, width, channels = activations.shape
    matrix = activations.reshape(-1, channels).astype(np.float64)
    component = matrix @ np.linalg.svd(matrix, full_matrices=False)[2][0]
    return (component if component.sum() >= 0 else -component).reshape(height, width)


def net_of(filters, activation, kernel=3):
    keras.utils.set_random_seed(6)
    x = keras.Input(SHAPE)
    y = layers.Conv2D(filters, kernel, activation=activation, name="cam")(layers.Rescaling(1 / 127.5, offset=-1)(x))
    return ended(x, layers.GlobalAveragePooling2D()(y))


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(("filters", "kernel"), [(4, 3), (90, 3), (40, 9), (6, 10)])
def test_maps_are_those_of_a_singular_value_decomposition(filters, kernel, activation):
    model, images = net_of(filters, activation, kernel), pictures()
    probabilities, maps = EigenCam(model, "cam")(images)
    expected = np.stack([by_svd(one) for one in reached(model, "cam", images)])
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(probabilities, model(images, training=False), atol=1e-6)
    if activation == "relu":
        assert maps.min() >= -1e-5 * maps.max()


def test_the_class_and_what_stands_above_the_layer_change_nothing():
    model, images = hidden_net(), pictures()
    method = EigenCam(model, "cam")
    before = method(images, np.zeros(4, int))[1]
    model.get_layer("logits").kernel.assign(-model.get_layer("logits").kernel)
    np.testing.assert_array_equal(method(images, np.full(4, 2))[1], before)


def test_activations_of_zero_give_a_map_of_zeros():
    for filters, kernel in ((4, 3), (40, 9)):
        model = net_of(filters, "relu", kernel)
        cam = model.get_layer("cam")
        cam.set_weights([np.zeros_like(weights) for weights in cam.get_weights()])
        maps = EigenCam(model, "cam")(pictures())[1]
        np.testing.assert_array_equal(maps, np.zeros_like(maps))


def test_an_image_that_overflows_has_no_map_and_leaves_the_others_theirs():
    model, images = net_of(4, "linear"), pictures()
    method = EigenCam(model, "cam")
    expected = method(images)[1]
    images[1, 0, 0, 0] = np.inf
    maps = method(images)[1]
    assert np.isnan(maps[1]).all()
    np.testing.assert_allclose(maps[[0, 2, 3]], expected[[0, 2, 3]], rtol=0, atol=1e-5 * np.abs(expected).max())

"""Grad-CAM of grades and of several labels an image, against a plain gradient."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tasks.config import InputError
from tasks.evaluation.outputs import class_scores
from tasks.explanation.gradcam import GradCam

N_CLASSES = 4
IMAGES = np.random.default_rng(0).uniform(0, 255, (5, 12, 10, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    """A network with a sigmoid a class, whose hidden layer makes the gradient differ from image to image."""
    keras.utils.set_random_seed(5)
    x = keras.Input((12, 10, 3))
    y = keras.layers.Rescaling(1 / 255)(x)
    y = keras.layers.Conv2D(4, 3, activation="relu", name="cam")(y)
    y = keras.layers.Dense(6, activation="tanh")(keras.layers.GlobalAveragePooling2D()(y))
    logits = keras.layers.Dense(N_CLASSES, name="logits")(y)
    return keras.Model(x, keras.layers.Activation("sigmoid", name="probabilities")(logits))


def plain_maps(net, targets, kind):
    """Give the maps by eq. 1 and 2 of Selvaraju et al., the score written out for each kind."""
    cam, logits = net.get_layer("cam").output, net.get_layer("logits").output
    lower, upper = keras.Model(net.inputs[0], cam), keras.Model(cam, logits)
    maps = []
    for image, target in zip(IMAGES, targets, strict=True):
        activations = lower(image[None])
        with tf.GradientTape() as tape:
            tape.watch(activations)
            of_image = upper(activations)[0]
            lowest = kind == "ordinal" and target == 0
            score = -of_image[1] if lowest else of_image[target]
        weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2))
        maps.append(tf.nn.relu(tf.reduce_sum(weights[:, None, None] * activations, axis=-1))[0].numpy())
    return np.stack(maps)


@pytest.mark.parametrize("kind", ["ordinal", "multilabel"])
def test_maps_are_those_of_a_plain_gradient_one_by_one_and_all_at_once(net, kind):
    cam = GradCam(net, "cam", class_scores=class_scores(kind, N_CLASSES))
    outputs, every = cam.every_class(IMAGES)
    assert every.shape[:2] == (5, N_CLASSES)
    mixed = np.array([0, 1, 2, 3, 0])
    for targets in (np.zeros(5, int), mixed):
        expected = plain_maps(net, targets, kind)
        assert expected.max() > 0
        found, maps = cam(IMAGES, targets)
        np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5 * expected.max())
        np.testing.assert_allclose(every[np.arange(5), targets], expected, rtol=0, atol=1e-5 * expected.max())
        np.testing.assert_allclose(found, outputs, atol=1e-6)
    np.testing.assert_allclose(outputs, net.predict(IMAGES, verbose=0), atol=1e-6)


def test_a_matrix_of_ones_in_its_diagonal_changes_no_map(net):
    targets = np.arange(5) % N_CLASSES
    plain, scored = GradCam(net, "cam"), GradCam(net, "cam", class_scores=np.eye(N_CLASSES, dtype=np.float32))
    for one, other in zip(plain(IMAGES, targets), scored(IMAGES, targets), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_matrix_may_have_more_classes_than_logits(net):
    both = np.concatenate([np.eye(N_CLASSES), -np.eye(N_CLASSES)], axis=1)
    cam = GradCam(net, "cam", class_scores=both)
    assert cam.n_classes == 8
    assert cam.every_class(IMAGES)[1].shape[1] == 8
    with pytest.raises(InputError, match="0 to 7"):
        cam(IMAGES, np.full(5, 8))


def test_without_targets_it_does_not_guess_and_another_matrix_is_refused(net):
    with pytest.raises(ValueError, match="must be given"):
        GradCam(net, "cam", class_scores=class_scores("ordinal", N_CLASSES))(IMAGES)
    with pytest.raises(ValueError, match=r"\(4, n_classes\), got \(3, 3\)"):
        GradCam(net, "cam", class_scores=class_scores("ordinal", 3))

"""Tiny models to explain, with what is known about them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

SHAPE = (12, 10, 3)


def images(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (n, *SHAPE)).astype(np.float32)


def finished(x: Any, features: Any, n_outputs: int, activation: str) -> Any:
    logits = keras.layers.Dense(n_outputs, name="logits")(features)
    return keras.Model(x, keras.layers.Activation(activation, name="probabilities")(logits))


def linear_net(n_outputs: int = 3, activation: str = "softmax") -> Any:
    """Give a model whose logits are linear in the image; `linear_slopes` are their gradients."""
    keras.utils.set_random_seed(7)
    x = keras.Input(SHAPE)
    return finished(x, keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(x)), n_outputs, activation)


def linear_slopes(model: Any) -> np.ndarray:
    """Give d logit / d image of `linear_net`, of shape (n_outputs, h, w, 3)."""
    return np.moveaxis(model.get_layer("logits").kernel.numpy().reshape(*SHAPE, -1), -1, 0) / 255


def curved_net(n_outputs: int = 3, activation: str = "softmax") -> Any:
    """Give a small network with ReLUs of all kinds, a branch, batch normalisation and dropout."""
    keras.utils.set_random_seed(8)
    x = keras.Input(SHAPE)
    y = keras.layers.Rescaling(1 / 127.5, -1)(x)
    y = keras.layers.Conv2D(6, 3, activation="relu", name="first")(y)
    y = keras.layers.BatchNormalization(name="norm")(y)
    side = keras.layers.ReLU(name="side_relu")(keras.layers.Conv2D(6, 3, padding="same", name="side")(y))
    y = keras.layers.Activation("relu", name="joined_relu")(keras.layers.Add(name="joined")([y, side]))
    y = keras.layers.Conv2D(5, 2, strides=2, activation="tanh", name="last")(y)
    y = keras.layers.Dense(8, activation="relu", name="hidden")(keras.layers.Flatten()(y))
    return finished(x, keras.layers.Dropout(0.5)(y), n_outputs, activation)


def logits_of(model: Any, pictures: np.ndarray) -> np.ndarray:
    cut = keras.Model(model.inputs[0], model.get_layer("logits").output)
    return cut(pictures.astype(np.float32), training=False).numpy()


def slopes_of(model: Any, picture: np.ndarray, target: int) -> np.ndarray:
    """Give d logit / d image of one image, by a plain gradient."""
    cut = keras.Model(model.inputs[0], model.get_layer("logits").output)
    with tf.GradientTape() as tape:
        given = tf.constant(picture[None], tf.float32)
        tape.watch(given)
        logit = cut(given, training=False)[0, target]
    return tape.gradient(logit, given).numpy()[0]


def close(found: np.ndarray, expected: np.ndarray, share: float = 1e-5) -> None:
    """Both are the same up to a share of the largest amount, and not all zeros."""
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.abs(expected).max())

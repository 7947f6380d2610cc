"""Small networks for the tests of explanation, and the slopes of their logits from a plain, eager gradient."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

N_CLASSES = 3
SHAPE = (11, 10, 3)


def pictures(n=4, shape=SHAPE):
    return np.random.default_rng(0).uniform(0, 255, (n, *shape)).astype(np.float32)


def ended(x, features, n_outputs=N_CLASSES, activation="softmax"):
    logits = layers.Dense(n_outputs, name="logits")(features)
    return keras.Model(x, layers.Activation(activation, name="probabilities")(logits))


def pooled_net(n_outputs=N_CLASSES, activation="softmax"):
    """A linear model of the means of the channels of `cam`, which has places that no channel sees."""
    keras.utils.set_random_seed(1)
    x = keras.Input(SHAPE)
    y = layers.Rescaling(1 / 255)(x)
    y = layers.Conv2D(4, 3, activation="relu", name="low")(y)
    y = layers.Conv2D(6, 3, activation="relu", name="cam")(y)
    return ended(x, layers.GlobalAveragePooling2D()(y), n_outputs, activation)


def flat_net(n_outputs=N_CLASSES):
    """A linear model of the places of `cam`: the slope differs from place to place."""
    keras.utils.set_random_seed(2)
    x = keras.Input(SHAPE)
    y = layers.Rescaling(1 / 255)(x)
    y = layers.Conv2D(5, 3, activation="relu", name="cam")(y)
    return ended(x, layers.Flatten()(y), n_outputs)


def hidden_net(n_outputs=N_CLASSES, activation="softmax"):
    """Slopes differ from place to place and from image to image; all paths cross `low`, `mid` and `cam`."""
    keras.utils.set_random_seed(3)
    x = keras.Input(SHAPE)
    y = layers.Rescaling(1 / 255, name="scaled")(x)
    y = layers.Conv2D(4, 3, activation="relu", name="low")(y)
    side = layers.Conv2D(4, 3, padding="same", name="side")(y)
    y = layers.ReLU(name="mid")(layers.Add()([y, side]))
    y = layers.Conv2D(6, 3, activation="relu", name="cam")(y)
    y = layers.Dense(7, activation="tanh")(layers.Flatten()(layers.MaxPooling2D(2)(y)))
    return ended(x, y, n_outputs, activation)


def reached(model, layer, images):
    return keras.Model(model.inputs[0], model.get_layer(layer).output)(images, training=False).numpy()


def plain_slopes(model, layer, images, targets, class_scores=None):
    """Give activations and slopes of the target's score, image by image, in float64."""
    upper = keras.Model(model.get_layer(layer).output, model.get_layer("logits").output)
    activations, slopes = reached(model, layer, images), []
    for one, target in zip(activations, targets, strict=True):
        with tf.GradientTape() as tape:
            given = tf.constant(one[None])
            tape.watch(given)
            logits = upper(given, training=False)[0]
            if class_scores is not None:
                score = tf.reduce_sum(logits * class_scores[:, target])
            else:
                score = logits[target] if logits.shape[0] > 1 else (2 * target - 1) * logits[0]
        slopes.append(tape.gradient(score, given)[0].numpy())
    return activations.astype(np.float64), np.array(slopes, dtype=np.float64)

"""Grad-CAM as the studies have it: one image at a time, predicted first, then differentiated eagerly.

Their gradient of the softmax is exchanged for that of the logit, and their 0 / 0 for zeros: a faulty map could not be
compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def explain_one(model: Any, grad_model: Any, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give one image's probabilities, and its map divided by its maximum.

    `grad_model` gives the activations of the CAM layer and the logits.
    """
    batch = np.expand_dims(image, 0).astype(np.float32)
    probabilities = model.predict(batch, verbose=0)[0]
    target = int(np.argmax(probabilities))
    with tf.GradientTape() as tape:
        activations, logits = grad_model(batch)
        score = logits[:, target]
    gradient = tape.gradient(score, activations)
    weights = tf.reduce_mean(gradient, axis=(0, 1, 2))
    heat = tf.squeeze(activations[0] @ weights[..., tf.newaxis], axis=-1)
    heat = tf.maximum(heat, 0)
    return probabilities, tf.math.divide_no_nan(heat, tf.reduce_max(heat)).numpy()

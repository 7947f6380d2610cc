"""Eigen-CAM: what a layer's channels have in common."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tasks.explanation.cam_method import CamMethod, Explainer
from tasks.explanation.graph import output_of, part_of


class EigenCam(CamMethod):
    """Eigen-CAM (Muhammad and Yeasin, 2020): a layer's activations on their first principal direction.

    With an image's activations as a matrix of places × channels, not centred, a map is its product with its first right
    singular vector. A singular vector has no sign of its own: it is turned so that the map's sum is not negative.
    Activations that are 0 or more give a map of that kind. With others a map has both signs, and the negative places
    are those that differ most from the rest.

    It knows no class: the map is the same for each target, and does not change with what stands above the layer. So it
    shows what the layer reacts to, not why a class was predicted.

    The parameters are those of `CamMethod`. Paths to the logits may go around the layers. An image whose activations
    are not finite has a map of NaN.
    """

    title = "Eigen-CAM"
    passes = "1 forward pass"
    fails_sanity_checks = "its maps depend neither on the class nor on anything above the layer"

    def _explainer(self, model: keras.Model, start: Any, ends: list[Any]) -> Explainer:
        cams = [output_of(model, layer) for layer in self.layers]
        above = [cam for cam in cams if cam is not start]
        whole = part_of(model, start, [*above, *ends], self.layers[0])

        def explain(inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:  # noqa: ARG001
            *reached, _, probabilities = whole(inputs, training=False)
            if len(above) < len(cams):
                reached = [inputs, *reached]
            maps = [_first_component(tf.cast(activations, tf.float32)) for activations in reached]
            return tf.cast(probabilities, tf.float32), maps

        return explain


def _first_component(activations: tf.Tensor) -> tf.Tensor:
    """Give the maps, of shape (n, h', w'), of activations of shape (n, h', w', channels).

    The singular vector comes from the smaller of both products of the matrix with itself: the channels', or the
    places', from which the channels' vector follows.
    """
    n, height, width, channels = tf.unstack(tf.shape(activations))
    finite = tf.reduce_all(tf.math.is_finite(activations), axis=(1, 2, 3), keepdims=True)
    matrix = tf.reshape(tf.where(finite, activations, 0), (n, height * width, channels))
    vector = tf.cond(height * width < channels, lambda: _by_places(matrix), lambda: _by_channels(matrix))
    component = tf.matmul(matrix, vector)
    total = tf.reduce_sum(component, axis=1, keepdims=True)
    maps = tf.reshape(tf.where(total < 0, -component, component), (n, height, width))
    return tf.where(finite[..., 0], maps, float("nan"))


def _by_channels(matrix: tf.Tensor) -> tf.Tensor:
    return tf.linalg.eigh(tf.matmul(matrix, matrix, transpose_a=True))[1][:, :, -1:]


def _by_places(matrix: tf.Tensor) -> tf.Tensor:
    first = tf.linalg.eigh(tf.matmul(matrix, matrix, transpose_b=True))[1][:, :, -1:]
    vector = tf.matmul(matrix, first, transpose_a=True)
    return tf.math.divide_no_nan(vector, tf.norm(vector, axis=1, keepdims=True))

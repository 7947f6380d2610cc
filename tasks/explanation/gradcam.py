"""Grad-CAM: which places of an image speak for a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tasks.backbones.cut import part
from tasks.config import InputError
from tasks.explanation.cam_method import SlopeMethod
from tasks.explanation.graph import output_of
from tasks.explanation.scores import checked_inputs, class_logits

SUM_KEEPING = (
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.Flatten,
)
"""Layers that in inference pass a gradient down with its sum over space unchanged, channel by channel: what they give
is a mean or a maximum of places of one channel, or those places themselves."""


class GradCam(SlopeMethod):
    """Probabilities and class activation maps of a model, from one compiled function.

    A map is the ReLU of the CAM layer's channels, each weighted by the mean over both spatial axes of the gradient of
    the target's logit (Selvaraju et al., 2017, eq. 1 and 2), so it is 0 or more. Each image has a target and weights
    of its own, and what lies under the CAM layer is not differentiated. The model runs in inference mode and is not
    changed.

    Parameters
    ----------
    model, cam_layer, start_layer, logits_layer, class_scores
        As in `tasks.explanation.cam_method.CamMethod`, and so are the errors.
    """

    title = "Grad-CAM"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | Sequence[str],
        *,
        start_layer: str | None = None,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
    ) -> None:
        super().__init__(
            model, cam_layer, start_layer=start_layer, logits_layer=logits_layer, class_scores=class_scores
        )
        self._cut = (model, self.layers[-1], logits_layer)

    @staticmethod
    def weigh(activations: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        """Give the ReLU of the channels, each weighted by the mean of its slopes."""
        weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1))

    def every_class(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the probabilities and the raw maps of all classes of a batch, from one forward pass.

        The maps are those that a call with each class as the target gives, to rounding. Only what stands above the
        pooled or flattened features is differentiated for each class, because pooling does not change what a gradient
        sums to over space; a head that does not begin so is differentiated down to the CAM layer. The function behind
        this is compiled when it is first called.

        Parameters
        ----------
        inputs : ndarray of shape (n, h, w, 3), 0 to 255, or (n, *input_shape)
            As in a call.

        Returns
        -------
        probabilities : ndarray of shape (n, n_outputs), float32
            What the model gives; a model with one output gives one column, the probability of class 1.
        maps : ndarray of shape (n, n_classes, h', w'), float32, 0 or more
            Not scaled. A model with one output has the classes 0 and 1, others as many as outputs, or as
            `class_scores` has columns.

        Raises
        ------
        InputError
            If there is no input, or the inputs have another shape.
        ValueError
            If several layers are mapped.
        """
        if len(self.layers) > 1:
            raise ValueError("every_class gives the maps of one layer, and several are mapped")
        inputs = checked_inputs(inputs, self.input_shape, self.title)
        probabilities, maps = self._compiled_for_every_class(inputs)
        return probabilities.numpy(), maps.numpy()

    @cached_property
    def _compiled_for_every_class(self) -> Callable[..., Any]:
        if self._stages is None:
            model, layer, _ = self._cut
            raise InputError(
                f"The maps of all classes at once need a layer that every path to the logits crosses, and one goes "
                f"around `{layer}` of `{model.name}`. Explain the classes one by one, or name another layer."
            )
        pooling, top = _parted_head(self._stages.head, *self._cut)
        return _compiled_for_every_class(self._stages.trunk, pooling, top, self.input_shape, self._class_scores)


def _compiled_for_every_class(
    trunk: keras.Model | None,
    pooling: keras.Model | None,
    top: keras.Model,
    input_shape: tuple[int | None, ...],
    class_scores: np.ndarray | None,
) -> Callable[..., Any]:
    def explain(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activations = inputs if trunk is None else trunk(inputs, training=False)
        features = activations if pooling is None else pooling(activations, training=False)
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(features)
            logits, probabilities = top(features, training=False)
            logits = class_logits(logits, class_scores)
        n, height, width, channels = tf.unstack(tf.shape(activations))
        weights = _summed_gradients(tape, logits, features, channels) / tf.cast(height * width, tf.float32)
        places = tf.reshape(tf.cast(activations, tf.float32), (n, height * width, channels))
        maps = tf.nn.relu(tf.matmul(weights, places, transpose_b=True))
        return tf.cast(probabilities, tf.float32), tf.reshape(maps, (n, logits.shape[-1], height, width))

    signature = [tf.TensorSpec((None, *input_shape), tf.float32)]
    compiled: Callable[..., Any] = tf.function(explain, input_signature=signature, autograph=False)
    return compiled


def _summed_gradients(tape: tf.GradientTape, logits: tf.Tensor, features: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    """Give each logit's gradient summed over space, of shape (n, n_classes, channels)."""
    n, n_classes = tf.shape(features)[0], logits.shape[-1]
    if len(features.shape) == 2:
        slopes = tf.cast(tape.batch_jacobian(logits, features), tf.float32)
        return tf.reduce_sum(tf.reshape(slopes, (n, n_classes, -1, channels)), axis=2)

    def of_class(number: tf.Tensor) -> tf.Tensor:
        chosen = tf.broadcast_to(tf.one_hot(number, n_classes, dtype=logits.dtype), tf.shape(logits))
        slopes = tape.gradient(logits, features, output_gradients=chosen)
        return tf.reduce_sum(tf.cast(slopes, tf.float32), axis=(1, 2))

    # One class after the other: all slopes at once would take n_classes times the memory of the features.
    found = tf.map_fn(of_class, tf.range(n_classes), fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.transpose(found, (1, 0, 2))


def _parted_head(
    head: keras.Model, model: keras.Model, cam_layer: str, logits_layer: str
) -> tuple[keras.Model | None, keras.Model]:
    """Give the pooling that the head begins with, None where it does not, and what stands on that."""
    cam, ends = output_of(model, cam_layer), [output_of(model, logits_layer), model.outputs[0]]
    parted: tuple[keras.Model | None, keras.Model] = (None, head)
    for layer in head.operations[1:]:
        if type(layer) not in SUM_KEEPING or getattr(layer, "data_format", None) == "channels_first":
            break
        features = output_of(model, layer.name)
        with suppress(ValueError):  # a path goes around this layer: a branch of several
            parted = part(model, cam, features), part(model, features, ends)
        if layer.name == logits_layer or len(features.shape) == 2:
            break
    return parted

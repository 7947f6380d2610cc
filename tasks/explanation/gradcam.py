"""Grad-CAM: which places of an image speak for a class."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tasks.backbones.cut import part
from tasks.config import InputError

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


class GradCam:
    """Probabilities and class activation maps of a model, from one compiled function.

    A map is the ReLU of the CAM layer's channels, each weighted by the mean over both spatial axes of the gradient of
    the target's logit (Selvaraju et al., 2017, eq. 1 and 2). Each image has a target and weights of its own, and what
    lies under the CAM layer is not differentiated. The model runs in inference mode and is not changed.

    Parameters
    ----------
    model : keras.Model
        A flat functional or sequential model with one input, whose output comes from the logits alone.
    cam_layer : str
        The layer whose channels are weighted; its output has shape (n, h', w', channels), and everything that reaches
        the logits passes through it.
    start_layer : str or None
        Where the inputs enter: None for images, or a layer at or below the CAM layer whose activations are given.
    logits_layer : str
        The layer that gives the logits.
    class_scores : ndarray of shape (n_outputs, n_classes) or None
        What speaks for a class: its column of `logits @ class_scores` stands where its logit would, as for grades
        (`tasks.evaluation.outputs.class_scores`). None: each class has a logit of its own.

    Raises
    ------
    InputError
        If a layer is not there, the CAM layer has no spatial axes, or a path to the logits goes around it.
    ValueError
        If the matrix does not have a row a logit.
    """

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str,
        *,
        start_layer: str | None = None,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
    ) -> None:
        start = model.inputs[0] if start_layer is None else _output(model, start_layer)
        cam, logits = _output(model, cam_layer), _output(model, logits_layer)
        if len(cam.shape) != 4:
            raise InputError(
                f"Grad-CAM needs a layer with height, width and channels, but `{cam_layer}` of `{model.name}` gives "
                f"the shape {tuple(cam.shape)}. Name the last layer before the pooling."
            )
        trunk = None if start_layer == cam_layer else _part(model, start, cam, cam_layer)
        head = _part(model, cam, [logits, model.outputs[0]], cam_layer)
        self.n_outputs = int(logits.shape[-1])
        self.n_classes = max(self.n_outputs, 2) if class_scores is None else _n_columns(class_scores, self.n_outputs)
        self.input_shape = tuple(start.shape[1:])
        self._compiled = _compiled(trunk, head, self.input_shape, class_scores)
        self._trunk, self._whole_head, self._class_scores = trunk, head, class_scores
        self._cut = (model, cam_layer, logits_layer)

    def __call__(self, inputs: np.ndarray, targets: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Give the probabilities and the raw maps of a batch.

        Parameters
        ----------
        inputs : ndarray of shape (n, h, w, 3), 0 to 255, or (n, *input_shape)
            RGB images, or the activations of the start layer where one is given.
        targets : ndarray of shape (n,), int, or None
            The class that each map is for; None: the one with the largest logit. A model with one output has the
            classes 0 and 1, and the logit of class 0 is the negative of its output's.

        Returns
        -------
        probabilities : ndarray of shape (n, n_outputs), float32
            What the model gives; a model with one output gives one column, the probability of class 1.
        maps : ndarray of shape (n, h', w'), float32, 0 or more
            Not scaled: `tasks.explanation.maps.normalise` does that. All zeros where nothing speaks for the target.

        Raises
        ------
        InputError
            If a target is not a class of the model's, there is no input, or the inputs have another shape.
        ValueError
            If there are no targets although `class_scores` are given: what speaks most is not what is predicted then.
        """
        inputs = np.asarray(inputs, dtype=np.float32)
        self._check_inputs(inputs)
        probabilities, maps = self._compiled(inputs, self._wanted(targets, len(inputs)))
        return probabilities.numpy(), maps.numpy()

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
        """
        inputs = np.asarray(inputs, dtype=np.float32)
        self._check_inputs(inputs)
        probabilities, maps = self._compiled_for_every_class(inputs)
        return probabilities.numpy(), maps.numpy()

    @cached_property
    def _compiled_for_every_class(self) -> Callable[..., Any]:
        pooling, top = _parted_head(self._whole_head, *self._cut)
        return _compiled_for_every_class(self._trunk, pooling, top, self.input_shape, self._class_scores)

    def _check_inputs(self, inputs: np.ndarray) -> None:
        fits = inputs.ndim == len(self.input_shape) + 1 and all(
            wanted in (None, given) for wanted, given in zip(self.input_shape, inputs.shape[1:], strict=True)
        )
        if not fits or not len(inputs):
            wanted = ", ".join(map(str, self.input_shape))
            raise InputError(f"Grad-CAM takes one or more inputs of shape (n, {wanted}), got {inputs.shape}.")

    def _wanted(self, targets: np.ndarray | None, n: int) -> np.ndarray:
        if targets is None:
            if self._class_scores is not None:
                raise ValueError("with class_scores the class that each map is for must be given")
            return np.full(n, -1, dtype=np.int32)
        wanted, n_classes = np.asarray(targets), self.n_classes
        whole = np.issubdtype(wanted.dtype, np.integer) and wanted.shape == (n,)
        if not whole or (n and (wanted.min() < 0 or wanted.max() >= n_classes)):
            raise InputError(f"Grad-CAM takes one target an image, a whole number from 0 to {n_classes - 1}.")
        return wanted.astype(np.int32)


def _compiled(
    trunk: keras.Model | None,
    head: keras.Model,
    input_shape: tuple[int | None, ...],
    class_scores: np.ndarray | None,
) -> Callable[..., Any]:
    signature = [tf.TensorSpec((None, *input_shape), tf.float32), tf.TensorSpec((None,), tf.int32)]

    def explain(inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activations = inputs if trunk is None else trunk(inputs, training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(activations)
            logits, probabilities = head(activations, training=False)
            score = _target_logit(logits, targets, class_scores)
        gradient = tf.cast(tape.gradient(score, activations), tf.float32)
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        maps = tf.nn.relu(tf.reduce_sum(weights * tf.cast(activations, tf.float32), axis=-1))
        return tf.cast(probabilities, tf.float32), maps

    compiled: Callable[..., Any] = tf.function(explain, input_signature=signature, autograph=False)
    return compiled


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
            logits = _class_logits(logits, class_scores)
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
    cam, ends = _output(model, cam_layer), [_output(model, logits_layer), model.outputs[0]]
    parted: tuple[keras.Model | None, keras.Model] = (None, head)
    for layer in head.operations[1:]:
        if type(layer) not in SUM_KEEPING or getattr(layer, "data_format", None) == "channels_first":
            break
        with suppress(ValueError):  # a path goes around this layer: a branch of several
            parted = part(model, cam, layer.output), part(model, layer.output, ends)
        if layer.name == logits_layer or len(layer.output.shape) == 2:
            break
    return parted


def _n_columns(class_scores: np.ndarray, n_outputs: int) -> int:
    if class_scores.ndim != 2 or len(class_scores) != n_outputs:
        raise ValueError(f"class_scores needs the shape ({n_outputs}, n_classes), got {class_scores.shape}")
    return int(class_scores.shape[1])


def _class_logits(logits: tf.Tensor, class_scores: np.ndarray | None) -> tf.Tensor:
    if class_scores is not None:
        return tf.matmul(logits, tf.constant(class_scores, logits.dtype))
    return tf.concat([-logits, logits], axis=-1) if logits.shape[-1] == 1 else logits


def _target_logit(logits: tf.Tensor, targets: tf.Tensor, class_scores: np.ndarray | None) -> tf.Tensor:
    logits = _class_logits(logits, class_scores)
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.gather(logits, tf.where(targets < 0, predicted, targets), batch_dims=1)


def _output(model: keras.Model, layer: str) -> Any:
    names = [known.name for known in model.layers]
    if layer not in names:
        raise InputError(
            f"The model `{model.name}` has no layer `{layer}`. Its last layers are: {', '.join(names[-8:])}."
        )
    return model.get_layer(layer).output


def _part(model: keras.Model, start: Any, end: Any, cam_layer: str) -> keras.Model:
    try:
        return part(model, start, end)
    except ValueError:
        raise InputError(
            f"The model `{model.name}` cannot be cut at the layer `{cam_layer}`: a path from its input to the logits "
            "goes around it, or it does not lie between the two. Name a layer that every path crosses."
        ) from None

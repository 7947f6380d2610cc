"""Grad-CAM: which places of an image speak for a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.backbones.cut import part
from tasks.config import InputError


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

    Raises
    ------
    InputError
        If a layer is not there, the CAM layer has no spatial axes, or a path to the logits goes around it.
    """

    def __init__(
        self, model: keras.Model, cam_layer: str, *, start_layer: str | None = None, logits_layer: str = "logits"
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
        self.input_shape = tuple(start.shape[1:])
        self._compiled = _compiled(trunk, head, self.input_shape)

    def __call__(self, inputs: np.ndarray, targets: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Give the probabilities and the raw maps of a batch.

        Parameters
        ----------
        inputs : ndarray of shape (n, h, w, 3), 0 to 255, or (n, *input_shape)
            RGB images, or the activations of the start layer where one is given.
        targets : ndarray of shape (n,), int, or None
            The class that each map is for; None: the predicted one. A model with one output has the classes 0 and 1,
            and the logit of class 0 is the negative of its output's.

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
        """
        inputs = np.asarray(inputs, dtype=np.float32)
        self._check_inputs(inputs)
        probabilities, maps = self._compiled(inputs, self._wanted(targets, len(inputs)))
        return probabilities.numpy(), maps.numpy()

    def _check_inputs(self, inputs: np.ndarray) -> None:
        fits = inputs.ndim == len(self.input_shape) + 1 and all(
            wanted in (None, given) for wanted, given in zip(self.input_shape, inputs.shape[1:], strict=True)
        )
        if not fits or not len(inputs):
            wanted = ", ".join(map(str, self.input_shape))
            raise InputError(f"Grad-CAM takes one or more inputs of shape (n, {wanted}), got {inputs.shape}.")

    def _wanted(self, targets: np.ndarray | None, n: int) -> np.ndarray:
        if targets is None:
            return np.full(n, -1, dtype=np.int32)
        wanted = np.asarray(targets)
        n_classes = max(self.n_outputs, 2)
        whole = np.issubdtype(wanted.dtype, np.integer) and wanted.shape == (n,)
        if not whole or (n and (wanted.min() < 0 or wanted.max() >= n_classes)):
            raise InputError(f"Grad-CAM takes one target an image, a whole number from 0 to {n_classes - 1}.")
        return wanted.astype(np.int32)


def _compiled(trunk: keras.Model | None, head: keras.Model, input_shape: tuple[int | None, ...]) -> Callable[..., Any]:
    signature = [tf.TensorSpec((None, *input_shape), tf.float32), tf.TensorSpec((None,), tf.int32)]

    def explain(inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activations = inputs if trunk is None else trunk(inputs, training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(activations)
            logits, probabilities = head(activations, training=False)
            score = _target_logit(logits, targets)
        gradient = tf.cast(tape.gradient(score, activations), tf.float32)
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        maps = tf.nn.relu(tf.reduce_sum(weights * tf.cast(activations, tf.float32), axis=-1))
        return tf.cast(probabilities, tf.float32), maps

    compiled: Callable[..., Any] = tf.function(explain, input_signature=signature, autograph=False)
    return compiled


def _target_logit(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    if logits.shape[-1] == 1:
        logits = tf.concat([-logits, logits], axis=-1)
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

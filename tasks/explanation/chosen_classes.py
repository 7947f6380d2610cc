"""Predictions of a network with many classes, and maps of a few of them; an image passes the network once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tasks.backbones.cut import part
from tasks.explanation.gradcam import GradCam


class ClassOutputs(NamedTuple):
    """What a network gives for one image."""

    logits: np.ndarray
    """Of shape (n_classes,), float32."""
    probabilities: np.ndarray
    """Of shape (n_classes,), float32, 0 to 1."""
    maps: np.ndarray
    """Of shape (n_chosen, h', w'), float32, 0 or more: raw Grad-CAM of the chosen classes' logits."""


class ChosenClassCam:
    """Grad-CAM of the likeliest classes of an image and of others that are named.

    Parameters
    ----------
    model : keras.Model
        A flat model with the layers `logits` and `probabilities`.
    cam_layer : str
        The layer whose channels are weighted.
    """

    def __init__(self, model: Any, cam_layer: str) -> None:
        ends = [model.get_layer(name).output for name in (cam_layer, "logits", "probabilities")]
        whole = part(model, model.inputs[0], ends)
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        self._forward = tf.function(
            lambda images: whole(images, training=False), input_signature=signature, autograph=False
        )
        self._cam = GradCam(model, cam_layer, start_layer=cam_layer)

    def __call__(self, square: np.ndarray, top: int, named: list[int]) -> tuple[list[int], ClassOutputs]:
        """Explain an image.

        What lies below the CAM layer is computed once; each class's map takes one more pass of what stands on it.

        Parameters
        ----------
        square : ndarray of shape (size, size, 3), 0 to 255
            RGB.
        top : int
            How many of the likeliest classes are explained.
        named : list of int
            Other classes that are explained, whatever their probability.

        Returns
        -------
        classes : list of int
            The classes that are explained: the likeliest first, then the others as they are named.
        outputs : ClassOutputs
            With a map for each of them.
        """
        found = self._forward(np.asarray(square, dtype=np.float32)[None])
        activations, logits, probabilities = (tensor.numpy() for tensor in found)
        likeliest = np.argsort(-logits[0], kind="stable")[:top].tolist()
        classes = list(dict.fromkeys([*likeliest, *named]))
        _, maps = self._cam(np.repeat(activations, len(classes), axis=0), np.array(classes))
        return classes, ClassOutputs(logits[0], probabilities[0], maps)

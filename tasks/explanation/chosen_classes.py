"""Predictions of a network with many classes, and maps of a few of them; what all classes share is computed once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tasks.backbones.cut import part
from tasks.config import Explanation
from tasks.explanation.explainers import Explainers
from tasks.explanation.predictions import BATCH


class ClassOutputs(NamedTuple):
    """What a network gives for one image."""

    logits: np.ndarray
    """Of shape (n_classes,), float32."""
    probabilities: np.ndarray
    """Of shape (n_classes,), float32, 0 to 1."""
    maps: dict[str, np.ndarray]
    """By method, of shape (n_chosen, h', w'), float32: raw maps of the chosen classes' logits."""


class ChosenClasses:
    """Maps of the likeliest classes of an image and of others that are named, by each method of the settings.

    Parameters
    ----------
    model : keras.Model
        A flat model with the layers `logits` and `probabilities`.
    cam_layer : str
        The layer that CAM methods map where the settings name none.
    settings : Explanation
        The methods and their options.
    seed : int
        For methods that draw at random.

    Raises
    ------
    InputError
        A method does not go with the model, or its settings do not.
    """

    def __init__(self, model: Any, cam_layer: str, settings: Explanation, *, seed: int = 0) -> None:
        ends = [model.get_layer(name).output for name in (cam_layer, "logits", "probabilities")]
        whole = part(model, model.inputs[0], ends)
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        self._forward = tf.function(
            lambda images: whole(images, training=False), input_signature=signature, autograph=False
        )
        self._explainers = Explainers(model, cam_layer, settings, features_layer=cam_layer, seed=seed)
        self._methods = {name: self._explainers.on_features(name) for name in settings.methods}

    def layer(self, name: str) -> str:
        """Give the layer that a method maps; empty where it needs none."""
        return self._explainers.layer(name)

    def __call__(self, square: np.ndarray, top: int, named: list[int]) -> tuple[list[int], ClassOutputs]:
        """Explain an image.

        What lies below the CAM layer is computed once for predictions and all methods that start there; each class's
        map takes one more pass of what stands on it. Other methods take their own passes for each class.

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
        image = np.asarray(square, dtype=np.float32)
        activations, logits, probabilities = (tensor.numpy() for tensor in self._forward(image[None]))
        likeliest = np.argsort(-logits[0], kind="stable")[:top].tolist()
        classes = list(dict.fromkeys([*likeliest, *named]))
        maps: dict[str, np.ndarray] = {}
        for name, method in self._methods.items():
            one = activations[0] if self._explainers.takes_features(name) else image
            maps[name] = _of_each(method, one, np.array(classes))
        return classes, ClassOutputs(logits[0], probabilities[0], maps)


def _of_each(method: Any, one: np.ndarray, classes: np.ndarray) -> np.ndarray:
    parts = [classes[start : start + BATCH] for start in range(0, len(classes), BATCH)]
    return np.concatenate([method(np.repeat(one[None], len(some), axis=0), some)[1] for some in parts])

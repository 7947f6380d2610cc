"""What the methods have in common that explain from an image and the model's scores alone, without a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tasks.backbones.cut import part
from tasks.config import InputError
from tasks.explanation.graph import output_of
from tasks.explanation.scores import checked_inputs, checked_targets, class_logits, count_classes, target_logit

MAX_PASSES = 2000
"""Passes through the network that a method may take an image where no other bound is given."""

BATCH = 16
"""Changed copies of an image that go through the network at once."""

Forward = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Gives logits and probabilities of a batch of images, inside a graph."""


class ImageMethod:
    """A method that needs no layer: it explains the score of a class by the image that the model takes.

    Each method is called as `method(inputs, targets)` and gives probabilities and raw maps. The model runs in
    inference mode and is not changed.

    Parameters
    ----------
    model : keras.Model
        A flat functional or sequential model with one input, images of shape (n, h, w, 3).
    logits_layer : str
        The layer that gives the logits.
    class_scores : ndarray of shape (n_outputs, n_classes) or None
        What speaks for a class: its column of `logits @ class_scores` stands where its logit would
        (`tasks.evaluation.outputs.class_scores`). None: each class has a logit of its own.

    Attributes
    ----------
    title : str
        The method's name for people.
    passes : str
        How many forward and backward passes an image takes, in words.
    fails_sanity_checks : str
        Why the maps do not depend on the whole model as they should (Adebayo et al., 2018), in words; else empty.
    n_passes : int or None
        Forward and backward passes that an image takes with the settings given; None where its size decides.
    n_outputs, n_classes : int
        How many logits the model has, and how many classes a target can be.

    Raises
    ------
    InputError
        If there is no such layer, or the model does not take one image of three channels.
    ValueError
        If the matrix does not have a row a logit.
    """

    title: ClassVar[str]
    passes: ClassVar[str]
    fails_sanity_checks: ClassVar[str] = ""
    n_passes: int | None = None

    def __init__(self, model: keras.Model, logits_layer: str, class_scores: np.ndarray | None) -> None:
        logits, start = output_of(model, logits_layer), model.inputs[0]
        self.n_outputs = int(logits.shape[-1])
        self.n_classes = count_classes(self.n_outputs, class_scores)
        self.input_shape: tuple[int | None, ...] = tuple(start.shape[1:])
        if len(model.inputs) != 1 or len(self.input_shape) != 3 or self.input_shape[2] != 3:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs)
            raise InputError(
                f"{self.title} explains models that take one image of height, width and three channels, but "
                f"`{model.name}` takes {shapes}. Give a model of that kind."
            )
        self._class_scores = class_scores
        self._network = part(model, start, [logits, model.outputs[0]])
        self._predict = _compiled_prediction(self._network, self.input_shape, class_scores)

    def __call__(self, inputs: np.ndarray, targets: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Give the probabilities and the raw maps of a batch.

        Parameters
        ----------
        inputs : ndarray of shape (n, h, w, 3), 0 to 255
            RGB images as the model takes them.
        targets : ndarray of shape (n,), int, or None
            The class that each map is for; None: the one with the largest logit. A model with one output has the
            classes 0 and 1.

        Returns
        -------
        probabilities : ndarray of shape (n, n_outputs), float32
            What the model gives for the images as they are.
        maps : ndarray of shape (n, h, w), float32
            Not scaled; what the values mean is said at the class.

        Raises
        ------
        InputError
            If a target is not a class of the model's, there is no input, the inputs have another shape, or images of
            their size take more passes than allowed.
        ValueError
            If there are no targets although `class_scores` are given.
        """
        return self._explained(*self._checked(inputs, targets))

    def _explained(self, images: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the probabilities and the maps of images, image by image, for the wanted classes (-1: predicted)."""
        probabilities, classes, scores = self._predicted(images, wanted)
        maps = [self._map(*given) for given in zip(images, classes, scores, strict=True)]
        return probabilities, np.stack(maps).astype(np.float32)

    def _map(self, image: np.ndarray, target: int, score: float) -> np.ndarray:
        """Give an image's map of shape (h, w); `score` is the target's score of the image as it is."""
        raise NotImplementedError

    def _checked(self, inputs: np.ndarray, targets: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Give the images as float32 and the wanted classes as int32, -1 for the predicted one."""
        images, given = checked_inputs(inputs, self.input_shape, self.title), self._class_scores is not None
        return images, checked_targets(targets, len(images), self.n_classes, self.title, must_be_given=given)

    def _predicted(self, images: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the probabilities, each image's class and that class's score, of shape (n,), by one forward pass."""
        found = self._predict(images)
        probabilities, scores = found[0].numpy(), found[1].numpy()
        classes = np.where(wanted < 0, scores.argmax(axis=1), wanted).astype(np.int32)
        return probabilities, classes, scores[np.arange(len(scores)), classes]

    def _bound(self, needed: int, max_passes: int, mend: str) -> None:
        """Refuse settings that take more passes an image than allowed."""
        if needed > max_passes:
            raise InputError(
                f"{self.title} with these settings takes {needed} passes through the network for each image, more than "
                f"`max_passes: {max_passes}`. {mend}, or raise `max_passes`."
            )


def plain_forward(network: keras.Model) -> Forward:
    """Give the network's own forward pass in inference mode."""
    return lambda images: network(images, training=False)


def compiled_slopes(
    forward: Forward, input_shape: tuple[int | None, ...], class_scores: np.ndarray | None
) -> Callable[..., Any]:
    """Compile `(images, targets) -> (probabilities, scores, slopes)`: slopes are d score / d image, like the images."""

    def slopes(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits, probabilities = forward(images)
            score = target_logit(logits, targets, class_scores)
        gradient = tape.gradient(score, images)
        return tf.cast(probabilities, tf.float32), tf.cast(score, tf.float32), tf.cast(gradient, tf.float32)

    signature = [tf.TensorSpec((None, *input_shape), tf.float32), tf.TensorSpec((None,), tf.int32)]
    compiled: Callable[..., Any] = tf.function(slopes, input_signature=signature, autograph=False)
    return compiled


def pieces(n: int, size: int) -> list[slice]:
    """Give the parts, of `size` or less, that n rows are worked through in."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _compiled_prediction(
    network: keras.Model, input_shape: tuple[int | None, ...], class_scores: np.ndarray | None
) -> Callable[..., Any]:
    def predict(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits, probabilities = network(images, training=False)
        return tf.cast(probabilities, tf.float32), tf.cast(class_logits(logits, class_scores), tf.float32)

    signature = [tf.TensorSpec((None, *input_shape), tf.float32)]
    compiled: Callable[..., Any] = tf.function(predict, input_signature=signature, autograph=False)
    return compiled

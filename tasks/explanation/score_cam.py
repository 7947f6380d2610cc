"""Score-CAM: what each channel of a layer lets the model see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.explanation.cam_method import CamMethod, Explainer
from tasks.explanation.graph import output_of, part_of
from tasks.explanation.scores import chosen, class_confidences, class_logits

BATCH = 32
"""How many masked images pass through the model at once."""


class ScoreCam(CamMethod):
    """Score-CAM (Wang et al., 2020): a channel weighs as much as seeing its places makes the model surer of the target.

    Each channel is resized to the image bilinearly with half-pixel centres, brought to 0 to 1 by its minimum and
    maximum, and multiplied with the image: what it does not show is black. Its weight is its increase of confidence
    (definition 3): the target's probability on that image, less that on a black image, which is the baseline. The map
    is the ReLU of the weighted sum of the channels (eq. 8), 0 or more. Weights are used as they are, negative ones
    too: the softmax over channels in the paper's algorithm makes them nearly the same for all, and the authors' own
    program leaves it out. A channel that is the same at all places shows nothing and is left out.

    The probability is that of `tasks.explanation.scores.class_confidences`, and the picture is masked as it is given,
    before the model's own pre-processing. No gradient is taken.

    Parameters
    ----------
    model, cam_layer, logits_layer, class_scores
        As in `CamMethod`. Paths to the logits may go around the layers.
    max_channels : int or None
        At most so many channels of an image and layer, those with the largest variance over the places; None: all.
        It bounds what an image costs, since deep layers have 512 to 2048 channels.

    Raises
    ------
    InputError
        If a layer is not there or has no spatial axes.
    ValueError
        If the matrix does not have a row a logit, or `max_channels` is below 1.
    """

    title = "Score-CAM"
    passes = "1 forward pass, and 1 forward pass for each channel that is not the same everywhere"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | Sequence[str],
        *,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
        max_channels: int | None = None,
    ) -> None:
        if max_channels is not None and max_channels < 1:
            raise ValueError(f"max_channels must be 1 or more, got {max_channels}")
        super().__init__(model, cam_layer, logits_layer=logits_layer, class_scores=class_scores)
        self.max_channels = max_channels
        self._confidences = _compiled_confidences(
            part_of(model, model.inputs[0], [output_of(model, logits_layer), model.outputs[0]], logits_layer),
            self.input_shape,
            class_scores,
        )

    def every_layer(
        self, inputs: np.ndarray, targets: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Give the probabilities and the raw maps of each layer for a batch; see `CamMethod.every_layer`."""
        inputs, wanted = self._checked(inputs, targets)
        probabilities, (resolved, *layers) = self._compiled(inputs, wanted)
        black = np.zeros((1, *inputs.shape[1:3], 1), np.float32)
        base = self._confidences(inputs[0], black).numpy()[0]
        maps: dict[str, np.ndarray] = {}
        for name, activations in zip(self.layers, layers, strict=True):
            of_images = zip(inputs, activations.numpy(), resolved.numpy(), strict=True)
            maps[name] = np.stack([self._map(image, given, target, base[target]) for image, given, target in of_images])
        return probabilities.numpy(), maps

    def _explainer(self, model: keras.Model, start: Any, ends: list[Any]) -> Explainer:
        cams = [output_of(model, layer) for layer in self.layers]
        whole = part_of(model, start, [*cams, *ends], self.layers[0])
        class_scores = self._class_scores

        def explain(inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            *reached, logits, probabilities = whole(inputs, training=False)
            resolved = chosen(class_logits(logits, class_scores), targets)
            layers = [tf.cast(activations, tf.float32) for activations in reached]
            return tf.cast(probabilities, tf.float32), [resolved, *layers]

        return explain

    def _map(self, image: np.ndarray, activations: np.ndarray, target: int, base: float) -> np.ndarray:
        """Give the map, of shape (h', w'), of one image with activations of shape (h', w', channels)."""
        channels = self._channels(activations)
        weights = np.zeros(len(channels), np.float32)
        for first in range(0, len(channels), BATCH):
            some = np.moveaxis(activations[..., channels[first : first + BATCH]], -1, 0)[..., None]
            weights[first : first + BATCH] = self._confidences(image, some).numpy()[:, target] - base
        found: np.ndarray = np.maximum(activations[..., channels] @ weights, 0)
        return found

    def _channels(self, activations: np.ndarray) -> np.ndarray:
        """Give the numbers of the channels that are shown, the one with the largest variance first."""
        spread = activations.var(axis=(0, 1), dtype=np.float64)
        order = np.argsort(-spread, kind="stable")
        shown: np.ndarray = order[np.ptp(activations, axis=(0, 1))[order] > 0][: self.max_channels]
        return shown


def _compiled_confidences(
    whole: keras.Model, input_shape: tuple[int | None, ...], class_scores: np.ndarray | None
) -> Callable[..., Any]:
    """Give what is sure of each class, of shape (n, n_classes), for an image seen through channels (n, h', w', 1)."""
    signature = [tf.TensorSpec(input_shape, tf.float32), tf.TensorSpec((None, None, None, 1), tf.float32)]

    def confidences(image: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
        masks = tf.image.resize(channels, tf.shape(image)[:2], method="bilinear")
        low = tf.reduce_min(masks, axis=(1, 2, 3), keepdims=True)
        high = tf.reduce_max(masks, axis=(1, 2, 3), keepdims=True)
        seen = tf.math.divide_no_nan(masks - low, high - low) * image
        logits, outputs = whole(tf.ensure_shape(seen, (None, *input_shape)), training=False)
        return tf.cast(class_confidences(logits, outputs, class_scores), tf.float32)

    compiled: Callable[..., Any] = tf.function(confidences, input_signature=signature, autograph=False)
    return compiled

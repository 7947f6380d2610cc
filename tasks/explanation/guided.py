"""Guided back-propagation: a crisp picture of what excites the network, and a poor witness of why it decides."""

from __future__ import annotations

from inspect import signature
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.config import InputError
from tasks.explanation.gradients import Channels, Saliency
from tasks.explanation.image_method import Forward

_RECTIFIERS = (
    keras.activations.relu,
    keras.activations.relu6,
    keras.ops.relu,
    keras.ops.relu6,
    tf.nn.relu,
    tf.nn.relu6,
)


class GuidedBackprop(Saliency):
    """Saliency by a gradient that passes each ReLU only where it is positive (Springenberg et al., 2015, section 3.4).

    It fails sanity checks: the maps hardly change when the upper layers' weights are drawn anew (Adebayo et al., 2018),
    because they restore edges of the image rather than tell the classes apart (Nie et al., 2018). Use it to look, never
    to argue. The model is not changed: behind each ReLU's output the compiled graph has an identity whose gradient is
    cut off at 0. Other activations, a LeakyReLU among them, keep their own gradient.

    Parameters
    ----------
    model, cam_layer, logits_layer, class_scores, channels
        As in `Saliency`, and so are the call and the errors.

    Raises
    ------
    InputError
        If the model has no ReLU: then this would be saliency under another name.
    """

    title = "Guided back-propagation"
    fails_sanity_checks = "its maps hardly change when the weights of the upper layers are drawn anew"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | None = None,
        *,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
        channels: Channels = "max",
    ) -> None:
        super().__init__(model, cam_layer, logits_layer=logits_layer, class_scores=class_scores, channels=channels)
        if not any(map(_rectifies, self._network.operations)):
            raise InputError(
                f"{self.title} works on models with ReLUs, and `{model.name}` has none at the top level of its graph. "
                "Take saliency or SmoothGrad for it."
            )

    def _forward(self) -> Forward:
        network = self._network
        return lambda images: network._run_through_graph(images, operation_fn=_guided)


def _guided(operation: Any) -> Any:
    """Give the operation in inference mode, with a gate behind it where it ends in a ReLU."""
    inference = {"training": False} if "training" in signature(operation.call).parameters else {}

    def call(*args: Any, **kwargs: Any) -> Any:
        outputs = operation(*args, **(kwargs | inference))
        return _gate(outputs) if _rectifies(operation) else outputs

    return call


def _rectifies(operation: Any) -> bool:
    """Tell whether an operation is, or ends in, a ReLU that gives 0 below its threshold."""
    if type(operation).__name__ in ("ReLU", "Relu", "Relu6"):
        return not getattr(operation, "negative_slope", 0)
    return getattr(operation, "activation", None) in _RECTIFIERS


def _gated(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
    return tf.identity(x), tf.nn.relu


_gate = tf.custom_gradient(_gated)
"""The identity, whose gradient is cut off at 0."""

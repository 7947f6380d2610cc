"""The layer that is mapped where none is named, found from the model's graph."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tasks.config import InputError
from tasks.explanation.graph import calls, crossed_by_all, output_of

AUTO = "auto"
"""Stands for the layer that `auto_layer` finds, wherever a layer is named."""

PASSING_ON = (
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ActivityRegularization,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.Identity,
)
"""Layers whose channels are those of the layer below, only coarser, padded, cropped or the same."""


def auto_layer(model: keras.Model, logits_layer: str = "logits") -> str:
    """Give the name of the last layer that still has places and that says all that the logits are made of.

    Its output has shape (n, h', w', channels) with a height or a width above 1 (or one that depends on the input's),
    every path from the input to the logits crosses it, something below it or itself has weights, and it is more than
    pooling, dropout or padding of what lies below it. The last convolution is none of that in many networks: it may be
    one of several branches, stand before an addition, or see the pooled channels only.

    Parameters
    ----------
    model : keras.Model
        A flat functional or sequential model with one input.
    logits_layer : str
        The layer that gives the logits.

    Raises
    ------
    InputError
        If the model has no such layer, or none with the logits' name.
    """
    end = output_of(model, logits_layer)
    order, crossed = calls(end), set(crossed_by_all(model.inputs[0], end))
    last_call = {call.operation.name: call for call in calls(*model.outputs)}
    learned, found = False, None
    for call in order:
        learned = learned or _learns(call.operation)
        if learned and call in crossed and last_call[call.operation.name] is call and _has_places(call):
            found = call.operation.name
    if found is None:
        raise InputError(
            f"The model `{model.name}` has no layer with height, width and channels that every path from its input to "
            "the logits crosses. Name the layer to map, or use a method that needs none."
        )
    return str(found)


def _learns(operation: Any) -> bool:
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, layers.Normalization)


def _has_places(call: Any) -> bool:
    if isinstance(call.operation, PASSING_ON) or len(call.outputs) != 1:
        return False
    shape = call.outputs[0].shape
    return len(shape) == 4 and any(extent is None or extent > 1 for extent in shape[1:3])

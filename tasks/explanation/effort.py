"""What a network and its methods of explanation cost, counted from the graph and not by a clock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tasks.explanation.graph import calls


def multiply_adds(model: Any, among: Iterable[Any] | None = None) -> int:
    """Give the multiplications, each with its addition, that one image takes on its way through a model's layers.

    Convolutions, depthwise and separable ones too, take the elements of their kernels times the places of their output;
    dense layers the elements of their kernels. What costs little beside these is left out.

    Parameters
    ----------
    model : keras.Model
        A flat model with channels last, of inputs of a known size.
    among : iterable of keras.Layer or None
        The layers that count; None: all.
    """
    total = 0
    counted = None if among is None else {layer.name for layer in among}
    for call in calls(*model.outputs):
        layer = call.operation
        if counted is not None and layer.name not in counted:
            continue
        kernels = [weight.shape for weight in getattr(layer, "weights", ()) if len(weight.shape) > 1]
        places = math.prod(call.outputs[0].shape[1:-1])
        total += places * sum(math.prod(shape) for shape in kernels)
    return total


def passes_of(explainer: Any, model: Any) -> int:
    """Give how many passes through the network a method takes an image, a backward pass counted like a forward one.

    Parameters
    ----------
    explainer : CamMethod or ImageMethod
        A method built for the model.
    model : keras.Model
        The model.
    """
    known = getattr(explainer, "n_passes", None)
    if known is not None:
        return int(known)
    if not hasattr(explainer, "max_channels"):
        return 1  # what lies above a mapped layer is little beside what lies below it
    channels = [int(model.get_layer(layer).output.shape[-1]) for layer in explainer.layers]
    most = explainer.max_channels
    return 1 + sum(width if most is None else min(width, most) for width in channels)

"""The logits of a model that ends as its maker liked: found behind its last activation, or as it gives them."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers

from tasks.config import InputError
from tasks.explanation.flattening import twin

OutputActivation = Literal["softmax", "sigmoid"]
"""One class of many, or each output on its own."""

_POOLINGS = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)


def with_logits(output: Any, activation: OutputActivation | None, model: str) -> tuple[Any, OutputActivation]:
    """Give a flat graph's output anew, with the layers `logits` and `probabilities` at its end.

    The last layer that is more than a change of shape or precision decides. A softmax or sigmoid, be it a layer, an
    operation or the activation of a Dense or convolution, is taken off, and what it was applied to are the logits. A
    linear layer gives logits itself. `logits` and `probabilities` have no weights and give float32.

    Parameters
    ----------
    output : KerasTensor of shape (n, n_outputs)
        Each operation before it is called once, and belongs to no model but this.
    activation : {"softmax", "sigmoid"} or None
        What turns plain logits into probabilities; None: what the model says, and for one logit the sigmoid.
    model : str
        The model's name, for the message.

    Returns
    -------
    probabilities : KerasTensor of shape (n, n_outputs), 0 to 1
        The output of the layer `probabilities`.
    activation : {"softmax", "sigmoid"}
        What it does.

    Raises
    ------
    InputError
        The last layer is neither of these, plain logits may mean two things, or `activation` contradicts the model.
    """
    last, passes = output._keras_history.operation, []
    while _passes(last):
        passes.append(last)
        last = last.input._keras_history.operation
    own = _activation(last)
    if own in ("softmax", "sigmoid"):
        logits = (
            last.input if _is_bare(last) else twin(last, last.name, activation=keras.activations.linear)(last.input)
        )
        for operation in reversed(passes):
            logits = twin(operation, operation.name)(logits)
    elif _is_linear(last):
        logits = output
    else:
        raise InputError(
            f"The model `{model}` ends in the layer `{last.name}` ({type(last).__name__}), and what it gives are "
            "neither logits nor probabilities of classes. A model that can be explained ends in a softmax, a sigmoid "
            "or a linear layer."
        )
    known = _agreed(own, activation, int(output.shape[-1]), model)
    logits = layers.Identity(name="logits", dtype="float32")(logits)
    return layers.Activation(known, name="probabilities", dtype="float32")(logits), known


def _agreed(own: str | None, asked: OutputActivation | None, n_outputs: int, model: str) -> OutputActivation:
    if own == "softmax" and n_outputs == 1:
        raise InputError(
            f"The model `{model}` has one output behind a softmax, which is 1 for every image. A model of two classes "
            "needs two outputs, or a sigmoid."
        )
    if own in ("softmax", "sigmoid"):
        if asked not in (None, own):
            raise InputError(f"The model `{model}` ends in a {own}, not in a {asked}. Leave out --activation.")
        return "softmax" if own == "softmax" else "sigmoid"
    if n_outputs == 1:
        if asked == "softmax":
            raise InputError(f"The model `{model}` gives one logit, which has no softmax. Leave out --activation.")
        return "sigmoid"
    if asked is None:
        raise InputError(
            f"The model `{model}` gives {n_outputs} plain logits, and nothing in it says how they are read. Give "
            "--activation softmax if an image has one class of these, or sigmoid if each output stands for itself."
        )
    return asked


def _passes(operation: Any) -> bool:
    """Tell whether an operation leaves in inference each value as it is, but for precision and axes of length 1."""
    if isinstance(operation, layers.Flatten | layers.Reshape):
        before, after = operation.input.shape, operation.output.shape
        return before[-1] == after[-1] and all(extent == 1 for extent in (*before[1:-1], *after[1:-1]))
    plain = isinstance(operation, layers.Dropout | layers.Identity)
    return plain or (isinstance(operation, layers.Activation) and _activation(operation) == "linear")


def _activation(operation: Any) -> str | None:
    """Give the name of the function over the last axis that a layer or operation ends in; None: it has none such."""
    if hasattr(operation, "activation"):
        return "linear" if operation.activation is None else getattr(operation.activation, "__name__", None)
    kind = type(operation).__name__
    if kind == "Softmax":
        last = len(operation.input.shape) - 1
        return "softmax" if operation.axis in (-1, last) else None
    return "sigmoid" if kind == "Sigmoid" else None


def _is_bare(operation: Any) -> bool:
    """Tell whether an operation is an activation and nothing else."""
    return isinstance(operation, layers.Activation) or not hasattr(operation, "activation")


def _is_linear(operation: Any) -> bool:
    if isinstance(operation, _POOLINGS):
        return _is_linear(operation.input._keras_history.operation)
    return _activation(operation) == "linear"

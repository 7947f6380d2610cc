"""What stands on a backbone: pooled or flattened features, hidden layers, logits, probabilities."""

from __future__ import annotations

from typing import Any, Literal

from keras import initializers, layers

from tasks.backbones.stable import derived_seed
from tasks.config import Head

PREFIX = "head_"
"""How the names of a head's layers begin, but for `logits` and `probabilities`."""


def put_on(features: Any, head: Head, n_outputs: int, activation: Literal["softmax", "sigmoid"], seed: int) -> Any:
    """Give the probabilities of a head put on a base's feature tensor.

    Behind each hidden layer, and right before the logits, stands one dropout. The layer `logits` is linear and
    float32 whatever the precision of the rest; `probabilities` is a layer of its own behind it.

    Parameters
    ----------
    features : KerasTensor of shape (n, height, width, channels)
        The base's last features.
    head : Head
        Kind, widths of the hidden layers, dropout rate.
    n_outputs : int
        How many logits.
    activation : {"softmax", "sigmoid"}
        One probability in all, or one for each output.
    seed : int
        All initial weights and dropout masks of the head follow from it.

    Returns
    -------
    KerasTensor of shape (n, n_outputs), values 0 to 1
    """
    if head.kind == "gap":
        x = layers.GlobalAveragePooling2D(name=f"{PREFIX}pool")(features)
    else:
        x = layers.Flatten(name=f"{PREFIX}flatten")(features)
    for number, width in enumerate(head.units, start=1):
        x = _dense(x, width, f"{PREFIX}dense_{number}", seed, activation="relu")
        x = _dropout(x, head.dropout, f"{PREFIX}dropout_{number}", seed)
    if not head.units:
        x = _dropout(x, head.dropout, f"{PREFIX}dropout", seed)
    x = _dense(x, n_outputs, "logits", seed, dtype="float32")
    return layers.Activation(activation, name="probabilities", dtype="float32")(x)


def _dense(x: Any, width: int, name: str, seed: int, **arguments: Any) -> Any:
    return layers.Dense(width, kernel_initializer=_kernel(name, seed), name=name, **arguments)(x)


def _kernel(name: str, seed: int) -> Any:
    return initializers.GlorotUniform(seed=derived_seed(seed, name, "kernel_initializer"))


def _dropout(x: Any, rate: float, name: str, seed: int) -> Any:
    return layers.Dropout(rate, seed=derived_seed(seed, name, "seed"), name=name)(x)


def is_head(layer: Any) -> bool:
    """Tell whether a layer belongs to a head that `put_on` has made."""
    return layer.name.startswith(PREFIX) or layer.name in ("logits", "probabilities")


def reseed(model: Any, seed: int) -> None:
    """Give the head of a model the weights and the dropout states that `put_on` with this seed gives a new one."""
    for layer in filter(is_head, model.layers):
        if isinstance(layer, layers.Dense):
            layer.kernel.assign(_kernel(layer.name, seed)(layer.kernel.shape, layer.kernel.dtype))
            layer.bias.assign(initializers.Zeros()(layer.bias.shape, layer.bias.dtype))
        elif isinstance(layer, layers.Dropout) and layer.rate > 0:
            layer.seed_generator.state.assign([derived_seed(seed, layer.name, "seed"), 0])

"""A model of models as one flat graph, whose layers are twins of the model's own and share their weights."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, count
from typing import Any

import keras


def has_graph(operation: Any) -> bool:
    """Tell whether this is a model whose layers' connections are known: functional or sequential, its call Keras's."""
    known = isinstance(operation, keras.Sequential | keras.Function) and isinstance(operation, keras.Model)
    return known and type(operation).call.__module__.startswith("keras.")


def flat_outputs(model: Any, entry: Any, taken: Iterable[str]) -> list[Any]:
    """Give a model's output tensors on another input, every nested model opened.

    Each call of a layer becomes a layer of its own, a twin with the same weights that is called once: so every layer
    of the flat graph has one output, and the model's own layers and their connections stay as they are. A twin bears
    its layer's name; where that is taken, the nested model's name stands before it, or a number behind.

    Parameters
    ----------
    model : keras.Model
        With one input, for which `has_graph` holds.
    entry : KerasTensor
        What stands in for its input.
    taken : iterable of str
        Names that twins must not have.
    """
    return list(keras.tree.flatten(_Walk(set(taken)).through(model, entry, "")))


def twin(operation: Any, name: str, **changed: Any) -> Any:
    """Give another layer or operation with the same weights and settings, which is called nowhere yet.

    Copying by Keras's own means would write the weights out and read them in again.

    Parameters
    ----------
    operation : keras.Operation
        A layer that is built, or an operation of `keras.ops`.
    name : str
        The twin's name.
    **changed
        Attributes that differ.
    """
    other = object.__new__(type(operation))
    own: dict[str, Any] = {"name": name, "_inbound_nodes": [], "_outbound_nodes": []}
    if isinstance(operation, keras.layers.Layer):
        own |= {"_losses": [], "_loss_ids": set()}
    vars(other).update(vars(operation) | own | changed)
    return other


class _Walk:
    """A walk through a model and all models in it, during which names are given."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken

    def through(self, model: Any, inputs: Any, path: str) -> Any:
        """Give the outputs of a model on symbolic inputs, in the structure that a call of it gives."""
        pairs = zip(keras.tree.flatten(inputs), model.inputs, strict=True)
        tensors = [_as_wanted(given, wanted) for given, wanted in pairs]

        def called(operation: Any, *args: Any, **kwargs: Any) -> Any:
            if has_graph(operation):
                return self.through(operation, args[0] if args else kwargs["inputs"], operation.name)
            return twin(operation, self._name(operation.name, path))(*args, **kwargs)

        if isinstance(model, keras.Sequential):
            (x,) = tensors
            for layer in model.layers:
                x = called(layer, x)
            return x
        outputs = model._run_through_graph(tensors, call_fn=called)
        single = isinstance(outputs, list | tuple) and len(outputs) == 1
        return outputs[0] if single else outputs

    def _name(self, name: str, path: str) -> str:
        numbered = (f"{name}_{number}" for number in count(1))
        free = chain([name], [f"{path}_{name}"] if path else [], numbered)
        own = next(candidate for candidate in free if candidate not in self._taken)
        self._taken.add(own)
        return own


def _as_wanted(given: Any, wanted: Any) -> Any:
    """Give a tensor in the precision that a nested model asks for, as calling it would."""
    both_float = keras.backend.is_float_dtype(given.dtype) and keras.backend.is_float_dtype(wanted.dtype)
    return keras.ops.cast(given, wanted.dtype) if both_float and given.dtype != wanted.dtype else given

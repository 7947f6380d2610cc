"""A model's graph: its calls in order, those that every path crosses, and tensors and parts by a layer's name."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import Any

import keras

from tasks.backbones.cut import part
from tasks.config import InputError


def calls(*ends: Any) -> list[Any]:
    """Give all calls of layers and operations that tensors depend on, each behind those that it needs.

    A layer that is used twice has two calls (Keras's nodes, with `operation`, `outputs` and `parent_nodes`).
    """
    needed: dict[Any, list[Any]] = {}
    waiting = [_call(end) for end in ends]
    while waiting:
        call = waiting.pop()
        if call not in needed:
            needed[call] = call.parent_nodes
            waiting += needed[call]
    return list(TopologicalSorter(needed).static_order())


def crossed_by_all(start: Any, end: Any) -> list[Any]:
    """Give the calls that every path from one tensor to another crosses, in their order; none if there is no path.

    A call is crossed by all paths where the number of paths to it, times the number from it, is the number of all.
    """
    order, first, last = calls(end), _call(start), _call(end)
    before = {call: int(call is first) for call in order}
    for call in order:
        before[call] += sum(before[parent] for parent in call.parent_nodes)
    behind = {call: int(call is last) for call in order}
    for call in reversed(order):
        for parent in call.parent_nodes:
            behind[parent] += behind[call]
    return [call for call in order if before[call] and before[call] * behind[call] == before[last]]


def output_of(model: keras.Model, layer: str) -> Any:
    """Give the tensor that a layer gives in a model, at its last call where it is used several times.

    Raises
    ------
    InputError
        If no layer or operation on the way to the model's outputs has that name.
    """
    found = {call.operation.name: call for call in calls(*model.outputs)}
    if layer not in found:
        names = [known.name for known in model.layers]
        raise InputError(
            f"The model `{model.name}` has no layer `{layer}`. Its last layers are: {', '.join(names[-8:])}."
        )
    return found[layer].outputs[0]


def part_of(model: keras.Model, start: Any, end: Any, layer: str) -> keras.Model:
    """Give the part of a model between two tensors; `layer` is what the message calls the place of the cut.

    Raises
    ------
    InputError
        If a path to the end goes around the start.
    """
    try:
        return part(model, start, end)
    except ValueError:
        raise InputError(
            f"The model `{model.name}` cannot be cut at the layer `{layer}`: a path from its input to the logits "
            "goes around it, or it does not lie between the two. Name a layer that every path crosses."
        ) from None


def _call(tensor: Any) -> Any:
    operation, number, _ = tensor._keras_history
    return operation._inbound_nodes[number]

"""Parts of a model that share its layers and leave its graph as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


def part(model: keras.Model, start: Any, end: Any) -> keras.Model:
    """Give the part of a flat model between two of its tensors; its layers are the model's own.

    Raises
    ------
    ValueError
        A path to `end` goes around `start`.
    """
    with _graph_kept(model):
        return keras.Model(start, end)


@contextmanager
def _graph_kept(model: keras.Model) -> Iterator[None]:
    """Keras writes each new partial model into the layers that it shares; afterwards they are as they were."""
    operations = getattr(model, "operations", model.layers)
    before = [(layer, list(layer._inbound_nodes), list(layer._outbound_nodes)) for layer in operations]
    try:
        yield
    finally:
        for layer, inbound, outbound in before:
            layer._inbound_nodes[:] = inbound
            layer._outbound_nodes[:] = outbound

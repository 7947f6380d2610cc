"""Gives a model that was trained the weights that a newly built one would have, without building it again."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.backbones import heads
from tasks.backbones.build import BuiltModel, build_base

Values = dict[str, list[np.ndarray]]


class Beginning:
    """What a model's variables were when it was built; compiled functions of the model stay valid.

    Parameters
    ----------
    built : BuiltModel
        Fresh from `build_model`; frozen layers are taken to stay as they are.
    base_seed : int
        The seed that its base was built with.
    """

    def __init__(self, built: BuiltModel, base_seed: int) -> None:
        self._built = built
        self._base_seed = base_seed
        self._base = _values(_trained_base(built))

    def restore(self, base_seed: int, head_seed: int) -> None:
        """Set every variable that training may have changed to what `build_model` with these seeds would give.

        Parameters
        ----------
        base_seed : int
            Another seed than before draws the base's weights anew; that is for bases with random weights only.
        head_seed : int
            Decides the head's weights and dropout masks.
        """
        if base_seed != self._base_seed:
            size = int(self._built.model.input_shape[1])
            fresh = {layer.name: layer for layer in build_base(self._built.spec, size, base_seed).layers}
            self._base = _values([fresh[layer.name] for layer in _trained_base(self._built)])
            self._base_seed = base_seed
        for layer in _trained_base(self._built):
            _assign(layer, self._base[layer.name])
        heads.reseed(self._built.model, head_seed)


def _trained_base(built: BuiltModel) -> list[Any]:
    """Give the base's layers with variables that are not frozen."""
    return [layer for layer in built.model.layers if layer.variables and layer.trainable and not heads.is_head(layer)]


def _values(layers: list[Any]) -> Values:
    return {layer.name: [variable.numpy().copy() for variable in layer.variables] for layer in layers}


def _assign(layer: Any, values: list[np.ndarray]) -> None:
    for variable, value in zip(layer.variables, values, strict=True):
        variable.assign(value)

"""A fit's state, taken from Keras's parts after an epoch and put back into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tasks.training.states import FitState, States

_COUNTERS = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")
"""What Keras's early stopping and its cuts of the rate remember, but for the best weights."""

Row = dict[str, float]


class Standing:
    """Where one fit stands: all of model, optimizer and callbacks that training changes.

    Order and changes of the images follow from seed, epoch and image, so they need no keeping.

    Parameters
    ----------
    model : keras.Model
        The part that is trained; its layers that are not trainable stay as they are.
    optimizer : keras.optimizers.Optimizer
        Its optimizer, built.
    callbacks : sequence of keras.callbacks.Callback
        Early stopping and perhaps cuts of the rate, with `on_train_begin` called.
    states : States or None
        Where it is kept; None: nowhere.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        callbacks: Sequence[keras.callbacks.Callback],
        states: States | None,
    ) -> None:
        self._model, self._callbacks, self._states = model, callbacks, states
        moving = _moving(model)
        self._variables = {f"variable_{number}": variable for number, variable in enumerate(moving)}
        self._variables |= {f"optimizer_{number}": variable for number, variable in enumerate(optimizer.variables)}
        own = {id(variable) for variable in moving}
        self._weights = [number for number, weight in enumerate(model.weights) if id(weight) in own]
        self._n_bytes = sum(map(_size, self._variables.values())) + sum(map(_size, self._own_weights()))
        [self._stopper] = (own for own in callbacks if isinstance(own, keras.callbacks.EarlyStopping))

    def resume(self) -> list[Row]:
        """Put back what is kept and give the rows of the history until then; none if the fit begins anew."""
        state = None if self._states is None else self._states.read()
        if state is None or self._states is None:
            return []
        best = {f"best_{number}": weight for number, weight in enumerate(self._own_weights())}
        wanted = self._variables | (best if state.facts["best_is_kept"] else {})
        if {name: _kind(array) for name, array in state.arrays.items()} != {n: _kind(v) for n, v in wanted.items()}:
            self._states.refuse("its arrays are not those of this model")
            return []
        for name, variable in self._variables.items():
            variable.assign(state.arrays[name])
        for callback, counters in zip(self._callbacks, state.facts["callbacks"], strict=True):
            vars(callback).update(counters)
        weights = self._model.get_weights()
        if state.facts["best_is_kept"]:
            for number, place in enumerate(self._weights):
                weights[place] = state.arrays[f"best_{number}"]
        self._stopper.best_weights = weights
        self._model.stop_training = state.facts["stopped"]
        return [dict(row) for row in state.facts["history"]]

    def keep(self, history: Sequence[Row]) -> None:
        """Keep the state after an epoch, if it is time."""
        if self._states is None or not self._states.due(self._n_bytes):
            return
        arrays = {name: np.asarray(variable.numpy()) for name, variable in self._variables.items()}
        best_is_kept = self._stopper.best_epoch != len(history) - 1
        if best_is_kept:
            best = self._stopper.best_weights
            arrays |= {f"best_{number}": best[place] for number, place in enumerate(self._weights)}
        facts = {
            "history": [{name: float(value) for name, value in row.items()} for row in history],
            "callbacks": [_counters(callback) for callback in self._callbacks],
            "best_is_kept": best_is_kept,
            "stopped": bool(self._model.stop_training),
        }
        self._states.write(FitState(facts, arrays))

    def _own_weights(self) -> list[Any]:
        return [self._model.weights[place] for place in self._weights]


def _moving(model: keras.Model) -> list[Any]:
    """Give the model's variables that training changes: those of trainable layers, and all random states."""
    still = {id(weight) for layer in model.layers if not layer.trainable for weight in layer.weights}
    return [variable for variable in model.variables if id(variable) not in still]


def _kind(array: Any) -> tuple[tuple[int, ...], str]:
    return tuple(array.shape), str(array.dtype)


def _size(variable: Any) -> int:
    return int(np.prod(variable.shape) * np.dtype(variable.dtype).itemsize)


def _counters(callback: keras.callbacks.Callback) -> dict[str, float | int | None]:
    found = {name: vars(callback)[name] for name in _COUNTERS if name in vars(callback)}
    return {name: value if value is None or isinstance(value, int) else float(value) for name, value in found.items()}

"""What the methods that map a layer's channels share: the layers, the cut of the model, the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tasks.backbones.cut import part
from tasks.config import InputError
from tasks.explanation.auto_layer import AUTO, auto_layer
from tasks.explanation.graph import calls, output_of, part_of
from tasks.explanation.scores import checked_inputs, checked_targets, count_classes, target_logit

Explainer = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]]
"""Gives the outputs and the maps, one a layer, of a batch of inputs with these targets."""


class CamMethod:
    """Probabilities and maps of one layer of a model, or of several at once, from one compiled function.

    The model runs in inference mode and is not changed. This is the base of the methods; each says itself what its
    maps are, and whether they may be negative.

    Parameters
    ----------
    model : keras.Model
        A flat functional or sequential model with one input, whose output comes from the logits alone.
    cam_layer : str or sequence of str
        The layers that are mapped; the output of each has shape (n, h', w', channels). `auto` stands for the one that
        `tasks.explanation.auto_layer.auto_layer` finds.
    start_layer : str or None
        Where the inputs enter: None for images, or a layer at or below all those mapped whose activations are given.
    logits_layer : str
        The layer that gives the logits.
    class_scores : ndarray of shape (n_outputs, n_classes) or None
        What speaks for a class: its column of `logits @ class_scores` stands where its logit would, as for grades
        (`tasks.evaluation.outputs.class_scores`). None: each class has a logit of its own.

    Attributes
    ----------
    title : str
        The method's name for people.
    passes : str
        What an image costs, in forward and backward passes.
    fails_sanity_checks : str
        Why the maps do not depend on the whole model as they should (Adebayo et al., 2018), in words; else empty.
    layers : tuple of str
        The layers that are mapped, in the order in which the model computes them.
    n_outputs, n_classes : int
        How many logits the model has, and how many classes can be explained.
    input_shape : tuple of int or None
        What one input is, without the batch.

    Raises
    ------
    InputError
        If a layer is not there, has no spatial axes, or the model cannot be cut at it.
    ValueError
        If the matrix does not have a row a logit.
    """

    title: ClassVar[str]
    passes: ClassVar[str]
    fails_sanity_checks: ClassVar[str] = ""

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | Sequence[str],
        *,
        start_layer: str | None = None,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
    ) -> None:
        start = model.inputs[0] if start_layer is None else output_of(model, start_layer)
        self.layers = _in_order(model, [cam_layer] if isinstance(cam_layer, str) else cam_layer, logits_layer)
        for layer in self.layers:
            self._check_axes(model, layer)
        logits = output_of(model, logits_layer)
        self.n_outputs = int(logits.shape[-1])
        self.n_classes = count_classes(self.n_outputs, class_scores)
        self.input_shape = tuple(start.shape[1:])
        self._class_scores = class_scores
        self._compiled = self._compile(self._explainer(model, start, [logits, model.outputs[0]]))

    def __call__(self, inputs: np.ndarray, targets: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Give the probabilities and the raw maps of a batch, for a method that maps one layer.

        Parameters
        ----------
        inputs : ndarray of shape (n, h, w, 3), 0 to 255, or (n, *input_shape)
            RGB images, or the activations of the start layer where one is given.
        targets : ndarray of shape (n,), int, or None
            The class that each map is for; None: the one with the largest logit. A model with one output has the
            classes 0 and 1, and the logit of class 0 is the negative of its output's.

        Returns
        -------
        probabilities : ndarray of shape (n, n_outputs), float32
            What the model gives; a model with one output gives one column, the probability of class 1.
        maps : ndarray of shape (n, h', w'), float32
            Not scaled: `tasks.explanation.maps.normalise` does that. All zeros where nothing speaks for the target.

        Raises
        ------
        InputError
            If a target is not a class of the model's, there is no input, or the inputs have another shape.
        ValueError
            If there are no targets although `class_scores` are given: what speaks most is not what is predicted then.
            Or if several layers are mapped: `every_layer` gives the maps of each.
        """
        if len(self.layers) > 1:
            raise ValueError("several layers are mapped: every_layer gives the maps of each")
        probabilities, maps = self.every_layer(inputs, targets)
        return probabilities, maps[self.layers[0]]

    def every_layer(
        self, inputs: np.ndarray, targets: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Give the probabilities and the raw maps of each layer for a batch, from one pass.

        Parameters
        ----------
        inputs, targets : ndarray
            As in a call.

        Returns
        -------
        probabilities : ndarray of shape (n, n_outputs), float32
            As in a call.
        maps : dict of ndarray of shape (n, h', w'), float32
            By the layer's name, in the order of `layers`; each has the height and width of its layer.

        Raises
        ------
        InputError, ValueError
            As in a call.
        """
        probabilities, maps = self._compiled(*self._checked(inputs, targets))
        return probabilities.numpy(), {name: found.numpy() for name, found in zip(self.layers, maps, strict=True)}

    def _explainer(self, model: keras.Model, start: Any, ends: list[Any]) -> Explainer:
        """Give what is compiled; `ends` are the tensors of the logits and of the outputs."""
        raise NotImplementedError

    def _compile(self, explain: Explainer) -> Callable[..., Any]:
        signature = [tf.TensorSpec((None, *self.input_shape), tf.float32), tf.TensorSpec((None,), tf.int32)]
        compiled: Callable[..., Any] = tf.function(explain, input_signature=signature, autograph=False)
        return compiled

    def _checked(self, inputs: np.ndarray, targets: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        inputs = checked_inputs(inputs, self.input_shape, self.title)
        given = self._class_scores is not None
        return inputs, checked_targets(targets, len(inputs), self.n_classes, self.title, must_be_given=given)

    def _check_axes(self, model: keras.Model, layer: str) -> None:
        shape = tuple(output_of(model, layer).shape)
        if len(shape) != 4:
            raise InputError(
                f"{self.title} needs a layer with height, width and channels, but `{layer}` of `{model.name}` gives "
                f"the shape {shape}. Name the last layer before the pooling."
            )


class SlopeMethod(CamMethod):
    """The base of those that weigh a layer's channels by the slopes of the target's logit.

    Where everything that reaches the logits passes through each of the layers, what lies under the first of them is
    not differentiated. A layer of a branch is mapped too: by the slopes along the paths that pass through it.
    """

    passes = "1 forward pass, and 1 backward pass of what lies above the layer"

    @staticmethod
    def weigh(activations: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        """Give the maps, of shape (n, h', w'), of activations and slopes of shape (n, h', w', channels), float32."""
        raise NotImplementedError

    def _explainer(self, model: keras.Model, start: Any, ends: list[Any]) -> Explainer:
        cams = [output_of(model, layer) for layer in self.layers]
        stages = _stages(model, start, cams, ends)
        reach = _reach_by_branches(model, start, cams, ends, self.layers) if stages is None else _reach_by(stages)
        self._stages = stages
        weigh, class_scores = self.weigh, self._class_scores

        def explain(inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                reached, logits, probabilities = reach(inputs, tape)
                score = target_logit(logits, targets, class_scores)
            slopes = tape.gradient(score, reached)
            maps = [
                weigh(tf.cast(activations, tf.float32), tf.cast(slope, tf.float32))
                for activations, slope in zip(reached, slopes, strict=True)
            ]
            return tf.cast(probabilities, tf.float32), maps

        return explain


class _Stages(NamedTuple):
    """A model cut at the layers that are mapped: up to the first (None: it starts there), between them, and on."""

    trunk: keras.Model | None
    between: list[keras.Model]
    head: keras.Model


_Reach = Callable[[tf.Tensor, tf.GradientTape], tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]]
"""Gives what the layers give for a batch, the logits and the probabilities, with the tape watching the layers."""


def _stages(model: keras.Model, start: Any, cams: list[Any], ends: list[Any]) -> _Stages | None:
    """Cut a model at its layers; None where a path goes around one of them."""
    try:
        return _Stages(
            None if cams[0] is start else part(model, start, cams[0]),
            [part(model, lower, upper) for lower, upper in pairwise(cams)],
            part(model, cams[-1], ends),
        )
    except ValueError:
        return None


def _reach_by(stages: _Stages) -> _Reach:
    def reach(inputs: tf.Tensor, tape: tf.GradientTape) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        with tape.stop_recording():
            reached = [inputs if stages.trunk is None else stages.trunk(inputs, training=False)]
        tape.watch(reached[0])
        for stage in stages.between:
            reached.append(stage(reached[-1], training=False))
        logits, probabilities = stages.head(reached[-1], training=False)
        return reached, logits, probabilities

    return reach


def _reach_by_branches(
    model: keras.Model, start: Any, cams: list[Any], ends: list[Any], layers: Sequence[str]
) -> _Reach:
    whole = part_of(model, start, [*cams, *ends], layers[0])
    on_the_way = {call.operation.name for call in calls(ends[0])}
    if aside := [layer for layer in layers if layer not in on_the_way]:
        raise InputError(
            f"The logits of the model `{model.name}` do not depend on its layer `{aside[0]}`, so there is nothing to "
            "map there. Name a layer on the way to them, or `auto`."
        )

    def reach(inputs: tf.Tensor, tape: tf.GradientTape) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        tape.watch(inputs)
        *reached, logits, probabilities = whole(inputs, training=False)
        return reached, logits, probabilities

    return reach


def _in_order(model: keras.Model, names: Sequence[str], logits_layer: str) -> tuple[str, ...]:
    """Give the layers, each once, in the order in which the model computes them."""
    if not names:
        raise InputError("There is no layer to map. Name one or more layers, or `auto`.")
    found = {auto_layer(model, logits_layer) if name == AUTO else name for name in names}
    places = {call.operation.name: place for place, call in enumerate(calls(*model.outputs))}
    return tuple(sorted(found, key=lambda name: (places.get(name, -1), name)))

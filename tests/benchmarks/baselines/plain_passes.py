"""Plain compiled passes through a network, and what methods of explanation cost in theory, counted in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.backbones.cut import part
from tasks.config import Explanation
from tasks.explanation.graph import output_of
from tasks.explanation.image_method import BATCH as IMAGE_BATCH
from tasks.explanation.methods import get
from tasks.explanation.score_cam import BATCH as SCORE_CAM_BATCH

HEAD_TIMES = 20
"""How often what lies above the CAM layer is passed where other passes are made once, for it takes far less."""

CAMS = ("gradcam", "gradcampp", "hirescam", "layercam")


@dataclass(frozen=True)
class Theory:
    """So many plain passes an image, at a batch size.

    Attributes
    ----------
    forward : int
        Forward passes.
    both : int
        Forward passes with the backward pass down to the image.
    above : int
        Backward passes of what lies above the CAM layer.
    batch : int
        How many images the plain passes take at once: as many as the method gives the network.
    """

    forward: int = 0
    both: int = 0
    above: int = 0
    batch: int = IMAGE_BATCH

    def __str__(self) -> str:
        counts = {"forward": self.forward, "forward and back": self.both, "back to the layer": self.above}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)

    def seconds(self, plain: Mapping[str, float]) -> float:
        """Give the seconds an image, from those of each of the `Passes`."""
        above = plain["head and back"] - plain["head"] if self.above else 0.0
        return (
            self.forward * plain[f"forward {self.batch}"]
            + self.both * plain[f"both {self.batch}"]
            + self.above * max(above, 0.0)
        )


def theory_of(name: str, settings: Explanation, *, channels: int, patches: int) -> Theory:
    """Give what a method costs in theory.

    Parameters
    ----------
    name : str
        Its name in the registry.
    settings : Explanation
        Its options.
    channels : int
        How many channels of the CAM layer Score-CAM tries.
    patches : int
        How many places of the image occlusion covers.

    Raises
    ------
    KeyError
        The method has no theory here yet.
    """
    known = {
        **dict.fromkeys(CAMS, Theory(forward=1, above=1)),
        "scorecam": Theory(forward=1 + channels, batch=SCORE_CAM_BATCH),
        "eigencam": Theory(forward=1),
        "saliency": Theory(both=1),
        "guided": Theory(both=1),
        "smoothgrad": Theory(forward=1, both=settings.smoothgrad.n_samples),
        "integrated_gradients": Theory(forward=1, both=settings.integrated_gradients.steps + 1),
        "occlusion": Theory(forward=1 + patches),
        "rise": Theory(forward=1 + settings.rise.n_masks),
    }
    return known[get(name).name]


class Passes:
    """Plain passes of a model: compiled, without a check or a copy that is not needed."""

    def __init__(self, model: Any, cam_layer: str) -> None:
        start, logits = model.inputs[0], output_of(model, "logits")
        cam = output_of(model, cam_layer)
        self.forward = _compiled(model)
        self.both = _slopes(part(model, start, logits))
        self.trunk = _compiled(part(model, start, cam))
        head = part(model, cam, logits)
        self._head, self._head_and_back = _compiled(head), _slopes(head)

    def sides(self, images: np.ndarray, batches: tuple[int, ...]) -> dict[str, Callable[[], np.ndarray]]:
        """Give what passes all images, by name: `forward N` and `both N` in batches of N, `head`, `head and back`.

        The last two pass them `HEAD_TIMES` times.
        """
        found: dict[str, Callable[[], np.ndarray]] = {}
        for size in batches:
            found[f"forward {size}"] = _over(self.forward, images, size)
            found[f"both {size}"] = _over(self.both, images, size)
        activations = np.concatenate([_over(self.trunk, images, batches[0])()] * HEAD_TIMES)
        found["head"] = _over(self._head, activations, batches[0])
        found["head and back"] = _over(self._head_and_back, activations, batches[0])
        return found


def _over(run: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray, size: int) -> Callable[[], np.ndarray]:
    starts = range(0, len(inputs), size)
    return lambda: np.concatenate([run(inputs[start : start + size]) for start in starts])


def _compiled(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    compiled = tf.function(lambda x: network(x, training=False), input_signature=[_spec(network)], autograph=False)
    return lambda inputs: np.asarray(compiled(inputs).numpy())


def _slopes(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    def slopes(inputs: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            highest = tf.reduce_max(network(inputs, training=False), axis=1)
        return tape.gradient(highest, inputs)

    compiled = tf.function(slopes, input_signature=[_spec(network)], autograph=False)
    return lambda inputs: np.asarray(compiled(inputs).numpy())


def _spec(network: keras.Model) -> tf.TensorSpec:
    return tf.TensorSpec(tuple(network.inputs[0].shape), tf.float32)

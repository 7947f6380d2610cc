"""A model made ready to be explained: what it takes, what it tells apart, where it is mapped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tasks.backbones.cut import part
from tasks.backbones.spec import SPECS
from tasks.config import InputError
from tasks.dataset.pixels.images import BLACK, Pixels
from tasks.dataset.pixels.shaping import STRETCHED, Colour, Shaping, shape
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import class_probabilities
from tasks.explanation.auto_layer import AUTO
from tasks.explanation.foreign_files import load_foreign
from tasks.explanation.graph import output_of
from tasks.explanation.targets import Difference, both_classes, score_matrix


@dataclass(frozen=True, eq=False)
class Explainable:
    """A model and all that must be known to explain it.

    Attributes
    ----------
    title : str
        What people call it.
    model : keras.Model
        Flat, from RGB images of shape (n, height, width, 3), 0 to 255, to the layers `logits` and `probabilities`.
    targets : Targets
        The classes, labels or grades.
    thresholds : tuple of float
        From which probability on an image has a label: one for all, or one a label.
    cam_layer : str
        The layer that CAM methods map where none is named; `auto` for the one that the graph shows.
    how : Shaping
        The steps from picture to image.
    ground : tuple of int
        The colour behind transparency.
    seed : int
        For methods that draw at random.
    named : callable or None
        Gives the number of a class by what people call it; None: by its name.
    notes : tuple of str
        What people should know of the model.
    """

    title: str
    model: Any
    targets: Targets
    thresholds: tuple[float, ...] = (0.5,)
    cam_layer: str = AUTO
    how: Shaping = STRETCHED
    ground: Colour = BLACK
    seed: int = 0
    named: Callable[[str], int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its images in pixels."""
        height, width = self.model.input_shape[1:3]
        return int(height), int(width)

    @property
    def n_outputs(self) -> int:
        """How many logits it has."""
        return int(self.model.output_shape[-1])

    @property
    def threshold(self) -> Any:
        """The thresholds as numbers to compare probabilities with."""
        return self.thresholds[0] if len(self.thresholds) == 1 else np.array(self.thresholds)

    def square(self, picture: Pixels) -> Pixels:
        """Give what the model sees of a picture, of shape (height, width, 3), uint8."""
        height, width = self.size
        if height == width:
            return shape(picture, height, self.how)
        resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(resized, dtype=np.uint8)

    def scores(self, differences: Sequence[Difference]) -> np.ndarray | None:
        """Give what methods take as `class_scores`; None where each class has a logit of its own."""
        if not differences and self.targets.kind != "ordinal":
            return None
        return score_matrix(self.targets.kind, self.targets.classes, self.n_outputs, differences)

    def predict(self, squares: np.ndarray, differences: Sequence[Difference] = ()) -> np.ndarray:
        """Give the probability of each class, and behind these of the one class where one of two is chosen.

        Parameters
        ----------
        squares : ndarray of shape (n, height, width, 3), 0 to 255
            What the model sees.
        differences : sequence of Difference
            Pairs of classes.

        Returns
        -------
        ndarray of shape (n, n_classes + n_differences), float64, 0 to 1
            That of a difference is the sigmoid of the logits' difference: for a softmax, the one's share of both.
        """
        found = self._forward(np.asarray(squares, dtype=np.float32))
        logits, outputs = found[0].numpy().astype(np.float64), found[1].numpy()
        kind = self.targets.kind
        probabilities = both_classes(outputs) if outputs.shape[1] == 1 else class_probabilities(outputs, kind)
        if not differences:
            return probabilities
        columns = score_matrix(kind, self.targets.classes, self.n_outputs, differences)[:, probabilities.shape[1] :]
        chosen = 1 / (1 + np.exp(-np.clip(logits @ columns, -500, 500)))
        return np.concatenate([probabilities, chosen], axis=1)

    @cached_property
    def _forward(self) -> Callable[[np.ndarray], Any]:
        network = part(self.model, self.model.inputs[0], [output_of(self.model, "logits"), self.model.outputs[0]])
        signature = [tf.TensorSpec((None, *self.model.input_shape[1:]), tf.float32)]
        compiled: Callable[[np.ndarray], Any] = tf.function(
            lambda images: network(images, training=False), input_signature=signature, autograph=False
        )
        return compiled


def logged_network(
    network: Path, about: Path, *, title: str, backbone: str | None = None, seed: int = 0, trust: bool = False
) -> Explainable:
    """Give a model that a fold run has logged; everything that must be known of it lies beside it.

    Parameters
    ----------
    network, about : Path
        `network.keras` and `about.json`.
    title : str
        What people call it.
    backbone : str or None
        The registry name of its backbone; None: that of the network.
    seed : int
        For methods that draw at random.
    trust : bool
        Whether code in the file may run.

    Raises
    ------
    InputError
        A file is damaged, or the two do not go together.
    """
    model = load_foreign(network, trust=trust)
    try:
        known = json.loads(about.read_text(encoding="utf-8"))
        steps = known["preprocessing"]
        targets = Targets(tuple(known["classes"]), known["kind"], known["separator"], known["none_label"])
        how = Shaping(steps["resize"], tuple(steps["pad_color"]), steps["mask"])
        ground = tuple(steps["transparency_color"])
        thresholds = tuple(known["thresholds"]) or (0.5,)
        fits = int(model.output_shape[-1]) == len(targets.classes)
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InputError(
            f"{about} does not say what the model beside it is: it is damaged. Log the model again."
        ) from fault
    names = {layer.name for layer in model.layers}
    if not fits or not {"logits", "probabilities"} <= names:
        raise InputError(f"{network} and {about} do not go together: the files of the model are mixed up.")
    spec = SPECS.get(backbone or model.name)
    layer = spec.cam_layer if spec is not None and spec.cam_layer in names else AUTO
    red, green, blue = ground
    return Explainable(title, model, targets, thresholds, layer, how, (red, green, blue), seed)

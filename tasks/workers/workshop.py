"""A worker's models, kept compiled from one fold run to the next of the same backbone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.backbones.build import BuiltModel, build_model
from tasks.backbones.restart import Beginning
from tasks.dataset.mapped_array import is_whole
from tasks.dataset.pixels.images import DECODER_VERSION, shaping_of
from tasks.dataset.pixels.shaping import SHAPING_VERSION
from tasks.dataset.store import decoded_images
from tasks.evaluation.outputs import ACTIVATIONS, class_scores
from tasks.explanation.explainers import Explainers
from tasks.training.features import Inputs, training_inputs
from tasks.training.fit import Fitter
from tasks.training.session import derived_seed, start_backbone
from tasks.workers.order import Material

Emit = Callable[[dict[str, Any]], None]

MOST_PARAMETERS = 100_000_000
"""0.4 GB in float32, up to four times that where all are trained; the four large backbones of the demo fit."""


@dataclass(frozen=True)
class Bench:
    """A backbone's model with all that is compiled for it, ready for a fold.

    Attributes
    ----------
    built : BuiltModel
        The whole model, from images to probabilities.
    beginning : Beginning
        Sets it back to where training starts.
    images : ndarray of shape (n_images, size, size, 3), uint8
        The images as the network sees them, memory-mapped.
    inputs : Inputs
        What the model is trained and explained from.
    fitter : Fitter
        Its training.
    explainers : Explainers
        Its methods of explanation.
    """

    built: BuiltModel
    beginning: Beginning
    images: np.ndarray
    inputs: Inputs
    fitter: Fitter
    explainers: Explainers

    @property
    def size(self) -> int:
        """Height and width of the images."""
        return int(self.images.shape[1])

    @property
    def is_whole(self) -> bool:
        """Whether the kept arrays that it works with are those whose checksums were right."""
        variants = self.inputs.variants.kept if self.inputs.variants else ()
        return all(map(is_whole, (self.images, self.inputs.rows, self.inputs.cam_rows, *variants)))

    def check(self) -> None:
        """Refuse what was computed from arrays that have changed meanwhile.

        Raises
        ------
        RuntimeError
            A file of the cache was written to while it was in use.
        """
        if not self.is_whole:
            raise RuntimeError(
                "a file of foldcam's cache was changed by something else while the fold run worked with it, so what "
                "came out of it is not used"
            )


class Workshop:
    """Keeps the benches of the last backbones, as many as fit in `MOST_PARAMETERS`, but always one."""

    def __init__(self) -> None:
        self._benches: dict[str, Bench] = {}

    def bench(self, material: Material, backbone: str, fold: int, emit: Emit) -> Bench:
        """Give a backbone's bench with the weights that this fold starts from, as if it were newly built.

        Raises
        ------
        InputError
            The weights, the size or another setting cannot be used.
        """
        base_seed, head_seed = _seeds(material, backbone, fold)
        key = _key(material, backbone)
        bench = self._benches.pop(key, None)
        if bench is None or not bench.is_whole:
            bench = _new_bench(material, backbone, base_seed, head_seed, emit)
        self._benches[key] = bench
        while len(self._benches) > 1 and self._parameters() > MOST_PARAMETERS:
            del self._benches[next(iter(self._benches))]
        bench.beginning.restore(base_seed, head_seed)
        return bench

    def model(self, material: Material, backbone: str) -> Any:
        """Give a backbone's whole model, from images to probabilities, whatever its weights are at present.

        It is the bench's where there is one, else a new one with random weights, without a bench.

        Raises
        ------
        InputError
            The size or another setting cannot be used.
        """
        bench = self._benches.get(_key(material, backbone))
        if bench is not None:
            return bench.built.model
        return _build(material, backbone, "none", *_seeds(material, backbone, 0)).model

    def _parameters(self) -> int:
        return sum(bench.built.model.count_params() for bench in self._benches.values())


def _new_bench(material: Material, backbone: str, base_seed: int, head_seed: int, emit: Emit) -> Bench:
    experiment = material.experiment
    training = experiment.training_of(backbone)
    kind, n_classes = material.manifest.targets.kind, len(material.manifest.classes)
    built = _build(material, backbone, experiment.model_of(backbone).weights, base_seed, head_seed)
    shaping = shaping_of(experiment.data.preprocessing)
    images = decoded_images(material.manifest, int(built.model.input_shape[1]), material.store, shaping)

    def report(done: int, total: int) -> None:
        emit({"state": "starting", "done": done, "total": total})

    inputs = training_inputs(
        built,
        images,
        _digest(material),
        material.store,
        augmentation=training.augmentation,
        seed=derived_seed(experiment.seed, "variants"),
        dtype=experiment.cache.feature_dtype,
        progress=report,
    )
    scores = None if kind == "multiclass" else class_scores(kind, n_classes)
    return Bench(
        built,
        Beginning(built, base_seed),
        images,
        inputs,
        Fitter(inputs.trained, training, inputs.variants, kind),
        Explainers(
            built.model,
            built.cam_layer,
            experiment.explanation,
            class_scores=scores,
            features_layer=inputs.cam_start,
            seed=derived_seed(experiment.seed, backbone, "explain"),
        ),
    )


def _build(material: Material, backbone: str, weights: str, base_seed: int, head_seed: int) -> BuiltModel:
    experiment = material.experiment
    model = experiment.model_of(backbone)
    seed = derived_seed(experiment.seed, backbone, "session")
    start_backbone(seed, experiment.training_of(backbone).mixed_precision)
    return build_model(
        backbone,
        n_outputs=len(material.manifest.classes),
        size=model.size,
        head=model.head,
        weights=weights,
        freeze=model.freeze,
        activation=ACTIVATIONS[material.manifest.targets.kind],
        base_seed=base_seed,
        head_seed=head_seed,
    )


def _seeds(material: Material, backbone: str, fold: int) -> tuple[int, int]:
    """Give the seeds of base and head; a frozen base starts the same in every fold, so that features can be shared."""
    seed, model = material.experiment.seed, material.experiment.model_of(backbone)
    shared = model.freeze != "none" or model.weights != "none"
    base = (backbone, "base") if shared else (backbone, fold, "base")
    return derived_seed(seed, *base), derived_seed(seed, backbone, fold, "head")


def _digest(material: Material) -> str:
    """Give a SHA-256 of the pixels that the backbones see, at any size."""
    preprocessing = material.experiment.data.preprocessing.model_dump(mode="json")
    steps = json.dumps([DECODER_VERSION, SHAPING_VERSION, preprocessing], sort_keys=True)
    return hashlib.sha256("".join([steps, *material.manifest.table["sha256"]]).encode()).hexdigest()


def _key(material: Material, backbone: str) -> str:
    experiment, targets = material.experiment, material.manifest.targets
    model = experiment.model_of(backbone).model_dump(mode="json")
    training = experiment.training_of(backbone).model_dump(mode="json")
    cache = experiment.cache.model_dump(mode="json")
    explanation = experiment.explanation.model_dump(mode="json")
    outputs = [targets.kind, len(targets.classes)]
    return json.dumps([backbone, experiment.seed, model, outputs, training, explanation, cache, _digest(material)])

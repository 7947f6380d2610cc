"""A backbone's model for one fold, and what it is trained and scored on: images, or frozen features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.backbones.build import BuiltModel, build_model
from tasks.dataset.images import DECODER_VERSION
from tasks.dataset.store import decoded_images
from tasks.training.features import frozen_features, trained_part
from tasks.training.session import derived_seed, start_fold
from tasks.workers.order import Material

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Source:
    """A backbone's model and what is fed to it: images, or activations at its freeze boundary.

    Attributes
    ----------
    built : BuiltModel
        The whole model, from images to probabilities.
    trained : keras.Model
        The part of it that is fitted; takes `inputs`, gives logits.
    inputs : ndarray of shape (n_images, ...)
        Images or activations, memory-mapped.
    images : ndarray of shape (n_images, size, size, 3), uint8
        The decoded images.
    start_layer : str or None
        The boundary where `inputs` are activations.
    """

    built: BuiltModel
    trained: Any
    inputs: np.ndarray
    images: np.ndarray
    start_layer: str | None

    @property
    def size(self) -> int:
        """Height and width of the images."""
        return int(self.images.shape[1])


def prepare_source(material: Material, backbone: str, fold: int, emit: Emit) -> Source:
    """Build a backbone's model for a fold and find, or compute, what it is fed with.

    Raises
    ------
    InputError
        The weights, the size or another setting cannot be used.
    """
    experiment = material.experiment
    training = experiment.training_of(backbone)
    start_fold(derived_seed(experiment.seed, backbone, fold, "session"), training.mixed_precision)
    built = _build(material, backbone, fold)
    images = decoded_images(material.manifest, int(built.model.input_shape[1]), material.store)
    if training.augmentation.active:
        return Source(built, trained_part(built, False), images, images, None)

    def report(done: int, total: int) -> None:
        emit({"state": "starting", "done": done, "total": total})

    digest = hashlib.sha256("".join([DECODER_VERSION, *material.manifest.table["sha256"]]).encode()).hexdigest()
    features = frozen_features(built, images, digest, material.store, report)
    if features is None:
        return Source(built, trained_part(built, False), images, images, None)
    return Source(built, trained_part(built, True), features, images, built.boundary)


def _build(material: Material, backbone: str, fold: int) -> BuiltModel:
    """Build the model; a frozen base starts the same in every fold, so that its features can be shared."""
    experiment, model = material.experiment, material.experiment.model_of(backbone)
    base = (backbone, "base") if model.freeze != "none" else (backbone, fold, "base")
    return build_model(
        backbone,
        n_outputs=len(material.manifest.classes),
        size=model.size,
        head=model.head,
        weights=model.weights,
        freeze=model.freeze,
        base_seed=derived_seed(experiment.seed, *base),
        head_seed=derived_seed(experiment.seed, backbone, fold, "head"),
    )

"""Networks as ImageNet's weights left them, their own classifier of 1000 classes on top."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tasks.backbones.applications import IMAGENET_WITH_TOP, application
from tasks.backbones.build import BuiltModel, preprocessed
from tasks.backbones.registry import get_with_classifier
from tasks.backbones.spec import BackboneSpec
from tasks.backbones.weight_files import load_file
from tasks.backbones.weights import downloading, keras_home
from tasks.config import InputError


def build_pretrained(backbone: str, *, weights: str = "imagenet", size: int | None = None) -> BuiltModel:
    """Give a backbone with pre-processing and its own classifier as one flat model; nothing in it is to be trained.

    The layers run `image` → pre-processing → network → `logits` → `probabilities`.

    Parameters
    ----------
    backbone : str
        The registry name of a network that Keras ships.
    weights : str
        `imagenet`, or the path of a file with the network's weights and those of its classifier, as Keras writes it.
    size : int, optional
        Height and width of the images in pixels; the classifier takes the native size only.

    Raises
    ------
    InputError
        For a network without such a classifier, another size, or weights that cannot be had or do not fit.
    """
    spec = get_with_classifier(backbone, weights, size)
    image = keras.Input((spec.native_size, spec.native_size, 3), dtype="float32", name="image")
    network = _loaded(spec, weights, preprocessed(image, spec.preprocessing))
    classifier = network.layers[-1]
    logits = keras.layers.Dense(classifier.units, name="logits", dtype="float32")
    probabilities = keras.layers.Activation("softmax", name="probabilities", dtype="float32")
    model = keras.Model(image, probabilities(logits(classifier.input)), name=spec.name)
    logits.set_weights(classifier.get_weights())
    model.trainable = False
    return BuiltModel(model, spec, None, spec.cam_layer, _digest(model, spec))


def _loaded(spec: BackboneSpec, weights: str, x: Any) -> Any:
    """Give Keras's own network with its classifier on the pre-processed tensor, all of its weights loaded.

    Published files name their weights in ways of their own; Keras reads them layer by layer, each with its shape.
    """
    if weights == "imagenet":
        file = IMAGENET_WITH_TOP.format(spec.weight_sources["imagenet"][0].partition("_weights_")[0])
        with downloading(keras_home() / "models", file, way_out=""):
            return application(spec.name, include_top=True, weights="imagenet", input_tensor=x)
    network = application(spec.name, include_top=True, weights=None, input_tensor=x)
    if weights.endswith((".keras", ".weights.h5")):
        load_file(network, Path(weights))  # by name: Keras itself leaves out what such a file has not
        return network
    try:
        network.load_weights(weights)
        return network
    except Exception as fault:  # Keras raises of every kind for a file that does not fit
        first = next(iter(str(fault).strip().splitlines()), type(fault).__name__)
        raise InputError(
            f"The weight file {weights} does not fit the backbone {spec.name} with its classifier of 1000 classes: "
            f"{first} Give a file that Keras wrote for the whole network."
        ) from fault


def _digest(model: Any, spec: BackboneSpec) -> str:
    """Give a SHA-256 over all weights, which must be finite."""
    digest = hashlib.sha256()
    for layer in model.layers:
        for weight in layer.weights:
            value = weight.numpy()
            if not np.isfinite(value).all():
                raise InputError(
                    f"The weights loaded for the backbone {spec.name} are not all finite ({layer.name}/{weight.name}): "
                    "the file is damaged. Fetch it again."
                )
            digest.update(weight.name.encode())
            digest.update(value.tobytes())
    return digest.hexdigest()

"""A backbone with its head as one flat Keras model: raw RGB images in, probabilities out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import keras

from tasks.backbones import heads
from tasks.backbones.cut import part
from tasks.backbones.registry import BackboneSpec, Preprocessing, get
from tasks.backbones.stable import stabilised
from tasks.backbones.weights import load_weights, random_digest
from tasks.config import Head


@dataclass(frozen=True)
class BuiltModel:
    """A model and what must be known to train, cut and explain it.

    `model` takes float32 images of shape (n, size, size, 3), RGB, 0 to 255, under the name `image`. `boundary` is
    the last frozen layer (None: nothing is frozen), `cam_layer` the layer whose maps Grad-CAM weighs;
    `weights_digest` is a SHA-256 over the weights loaded, or over the seed for random ones.
    """

    model: Any
    spec: BackboneSpec
    boundary: str | None
    cam_layer: str
    weights_digest: str


def build_model(
    backbone: str,
    *,
    n_outputs: int,
    size: int | None = None,
    head: Head | None = None,
    weights: str = "none",
    freeze: str = "base",
    activation: Literal["softmax", "sigmoid"] = "softmax",
    base_seed: int = 0,
    head_seed: int = 0,
) -> BuiltModel:
    """Give a backbone with pre-processing, weights and head, frozen up to a named point.

    The layers run `image` → pre-processing → base → head → `logits` → `probabilities`, all in one graph. Layer
    names and initial weights follow from the arguments alone: those of the base from `base_seed`, those of the
    head from `head_seed`. The boundary and everything below it is not trainable, so its batch normalisations run
    in inference mode.

    Parameters
    ----------
    backbone : str
        A registry name.
    n_outputs : int
        Number of logits, 1 or more; with softmax 2 or more.
    size : int, optional
        Height and width of the images in pixels; by default the backbone's native size.
    head : Head, optional
        By default the backbone's own.
    weights : str
        `none`, another of the backbone's weight sources, or the path of a weight file.
    freeze : str
        One of the backbone's freeze points.
    activation : {"softmax", "sigmoid"}
        One class of many, or each output on its own.
    base_seed, head_seed : int
        Seeds of the random initial weights.

    Raises
    ------
    InputError
        For an unknown backbone, freeze point or weight source, a size that does not fit, or weights that cannot
        be had or do not fit.
    ValueError
        When `n_outputs` does not go with `activation`, or the head is the pretrained one.
    """
    if head is not None and head.kind == "pretrained":
        raise ValueError("build_pretrained gives a network with its own classifier")
    if n_outputs < (2 if activation == "softmax" else 1):
        raise ValueError(f"{activation} cannot give {n_outputs} outputs")
    spec = get(backbone)
    size = spec.native_size if size is None else size
    spec.check_size(size)
    spec.check_weights(weights)
    boundary = spec.boundary(freeze)

    base = build_base(spec, size, base_seed)
    digest = random_digest(spec, base_seed) if weights == "none" else load_weights(base, spec, weights)
    outputs = heads.put_on(base.output, head or spec.default_head, n_outputs, activation, head_seed)
    model = keras.Model(base.input, outputs, name=spec.name)
    _freeze(model, boundary)
    return BuiltModel(model, spec, boundary, spec.cam_layer, digest)


def build_base(spec: BackboneSpec, size: int, seed: int) -> Any:
    """Give a backbone without head: raw RGB images of shape (n, size, size, 3) in, its last features out."""
    image = keras.Input((size, size, 3), dtype="float32", name="image")
    features = spec.builder(preprocessed(image, spec.preprocessing))
    return stabilised(keras.Model(image, features, name=spec.name), seed)


def preprocessed(image: Any, how: Preprocessing) -> Any:
    """Give the image as the base wants it, in float32 whatever the precision of the rest."""
    x = keras.ops.flip(image, axis=-1) if how.channel_order == "bgr" else image
    return keras.layers.Rescaling(list(how.scale), list(how.offset), dtype="float32", name="preprocessing")(x)


def _freeze(model: Any, boundary: str | None) -> None:
    """Make the boundary and all that it depends on untrainable, and let it run as in inference.

    `trainable` does that for batch normalisation, but not for dropout, whose rate is set to 0.
    """
    if boundary is None:
        return
    for layer in part(model, model.inputs[0], model.get_layer(boundary).output).layers:
        layer.trainable = False
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0

"""Feature maps: what single channels of a layer answer to in an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tasks.backbones.cut import part
from tasks.config import InputError
from tasks.explanation.feature_grids import MOST_CHANNELS, feature_grid
from tasks.explanation.gallery import unique_names
from tasks.explanation.graph import output_of
from tasks.explanation.scores import checked_inputs

CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)


class FeatureMaps:
    """The activations of several layers of a model, from one compiled function and one forward pass.

    The model runs in inference mode and is not changed; nothing above the layers is computed.

    Parameters
    ----------
    model : keras.Model
        A flat functional or sequential model with one input, images of shape (n, h, w, 3).
    names : sequence of str or None
        The layers; None: the first convolutions.
    first : int
        How many convolutions, from the input on, where there are no names; all of them where the model has fewer.

    Attributes
    ----------
    layers : tuple of str
        The layers, in the order given, or in the model's.
    passes : str
        How many forward and backward passes an image takes, in words.

    Raises
    ------
    InputError
        If a layer is not there or has no spatial axes, none is asked for, or the model has no convolution.
    """

    title = "Feature maps"
    passes = "1 forward up to the last of the layers"

    def __init__(self, model: keras.Model, names: Sequence[str] | None = None, *, first: int = 10) -> None:
        self.layers = tuple(convolutions(model)[: max(first, 0)] if names is None else dict.fromkeys(names))
        if not self.layers:
            raise InputError(
                f"There is no layer of `{model.name}` to show feature maps of. Name layers, or ask for one or more of "
                "the first convolutions of a model that has some."
            )
        outputs = [output_of(model, name) for name in self.layers]
        for name, output in zip(self.layers, outputs, strict=True):
            if len(output.shape) != 4:
                raise InputError(
                    f"Feature maps need a layer with height, width and channels, but `{name}` of `{model.name}` gives "
                    f"the shape {tuple(output.shape)}. Name a layer below the pooling."
                )
        network = part(model, model.inputs[0], outputs)
        self.input_shape: tuple[int | None, ...] = tuple(model.inputs[0].shape[1:])
        self._compiled = tf.function(
            lambda images: [tf.cast(found, tf.float32) for found in tf.nest.flatten(network(images, training=False))],
            input_signature=[tf.TensorSpec((None, *self.input_shape), tf.float32)],
            autograph=False,
        )

    def __call__(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Give the activations of a batch by the layer's name.

        Parameters
        ----------
        inputs : ndarray of shape (n, h, w, 3), 0 to 255
            RGB images as the model takes them.

        Returns
        -------
        dict of str to ndarray of shape (n, h', w', channels), float32
            In the order of `layers`.

        Raises
        ------
        InputError
            If there is no input, or the inputs have another shape.
        """
        found = self._compiled(checked_inputs(inputs, self.input_shape, self.title))
        return {name: activations.numpy() for name, activations in zip(self.layers, found, strict=True)}


def asked_feature_maps(model: keras.Model, asked: int | Sequence[str]) -> FeatureMaps:
    """Give the feature maps of the layers that settings ask for: so many of the first convolutions, or named layers.

    Raises
    ------
    InputError
        As `FeatureMaps`.
    """
    return FeatureMaps(model, first=asked) if isinstance(asked, int) else FeatureMaps(model, asked)


def convolutions(model: keras.Model) -> list[str]:
    """Give the names of a model's convolutions over both spatial axes, in the order of its layers."""
    return [layer.name for layer in model.layers if isinstance(layer, CONVOLUTIONS)]


def write_feature_maps(
    folder: Path,
    maps: FeatureMaps,
    squares: Iterable[np.ndarray],
    paths: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    colormap: str = "inferno",
    most: int = MOST_CHANNELS,
) -> list[Path]:
    """Write a grid for each image and layer: `<image>/<place>_<layer>.png`, the image beside its title.

    Images are taken from the iterable one at a time. The layers' names become file names that every file system takes.

    Parameters
    ----------
    folder : Path
        Where to; it need not be there.
    maps : FeatureMaps
        Gives the activations.
    squares : iterable of ndarray of shape (h, w, 3), uint8
        What the network takes of each image, RGB.
    paths : sequence of str
        What the images are called in the titles.
    names : sequence of str or None
        The images' folders; None: `tasks.explanation.gallery.unique_names` of the paths.
    colormap, most
        As in `feature_grid`.

    Returns
    -------
    list of Path
        The files, image by image, and in the order of the layers.

    Raises
    ------
    InputError
        If there is no such colour map, or an image has another shape than the model takes.
    ValueError
        If there are not as many images, paths and names.
    """
    places = unique_names(paths, suffix="") if names is None else names
    plain = unique_names([f"{layer}.layer" for layer in maps.layers])  # of a name, what follows its last dot is cut off
    files = []
    for square, path, place in zip(squares, paths, places, strict=True):
        (folder / place).mkdir(parents=True, exist_ok=True)
        found = maps(np.asarray(square, dtype=np.float32)[None])
        for number, ((layer, activations), name) in enumerate(zip(found.items(), plain, strict=True), start=1):
            file = folder / place / f"{number:02d}_{name}"
            title = f"{layer}: {path}"
            grid = feature_grid(activations[0], title=title, picture=square, colormap=colormap, most=most)
            grid.save(file, compress_level=4)
            files.append(file)
    return files

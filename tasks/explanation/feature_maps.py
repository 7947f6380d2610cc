"""Feature maps: what single channels of a layer answer to in an image, drawn as tiled grids."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image

from tasks.backbones.cut import part
from tasks.config import InputError
from tasks.explanation.drawing import HEADER_HEIGHT, NARROWEST, PAPER, header, tile
from tasks.explanation.graph import output_of
from tasks.explanation.overlays import colour_table
from tasks.explanation.scores import checked_inputs

CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)

MOST_CHANNELS = 256
"""Channels on a grid where no other number is given."""

_MARGIN = 28
_GAP = 4


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


def convolutions(model: keras.Model) -> list[str]:
    """Give the names of a model's convolutions over both spatial axes, in the order of its layers."""
    return [layer.name for layer in model.layers if isinstance(layer, CONVOLUTIONS)]


def scaled_channels(activations: np.ndarray) -> np.ndarray:
    """Bring each channel from its own minimum and maximum to 0 and 255.

    Parameters
    ----------
    activations : ndarray of shape (h', w', channels)
        Of one image.

    Returns
    -------
    ndarray of shape (h', w', channels), uint8
        A channel that is constant, or has a NaN or an infinity, is 0 throughout.
    """
    values = np.asarray(activations, dtype=np.float64)
    values = np.where(np.isfinite(values).all(axis=(0, 1)), values, 0)
    above = values - values.min(axis=(0, 1))
    highest = above.max(axis=(0, 1))
    scaled = np.divide(255 * above, highest, out=np.zeros_like(above), where=highest > 0)
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def feature_grid(
    activations: np.ndarray,
    *,
    title: str,
    colormap: str = "inferno",
    columns: int = 16,
    side: int = 56,
    most: int = MOST_CHANNELS,
) -> Image.Image:
    """Draw the channels of a layer for one image as tiles, from left to right and from top to bottom.

    Each channel has the whole range of colours for itself (`scaled_channels`), so tiles cannot be compared by
    brightness. The line under the title tells how many channels there are, are drawn and are constant.

    Parameters
    ----------
    activations : ndarray of shape (h', w', channels)
        Of one image.
    title : str
        What the grid shows, such as the layer's name.
    colormap : str
        The name of a colour map of matplotlib's.
    columns : int
        Tiles in a row, 1 or more.
    side : int
        Height and width of a tile in pixels.
    most : int
        Channels that are drawn at the most, the first ones.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    InputError
        If there is no such colour map.
    ValueError
        If there is no channel, or the activations are not of one image.
    """
    if activations.ndim != 3 or not activations.size:
        raise ValueError(f"a grid needs activations of shape (h, w, channels), got {activations.shape}")
    shown = scaled_channels(activations[:, :, :most])
    colours, step = colour_table(colormap), side + _GAP
    top, n_shown = _MARGIN + HEADER_HEIGHT, shown.shape[2]
    width = max(2 * _MARGIN + columns * step - _GAP, NARROWEST)
    grid = Image.new("RGB", (width, top + math.ceil(n_shown / columns) * step - _GAP + _MARGIN), PAPER)
    header(grid, title, _note(activations, shown), colormap, _MARGIN, marks=False)
    for number in range(n_shown):
        row, column = divmod(number, columns)
        picture = colours[_resized(shown[:, :, number], side)]
        grid.paste(tile(picture, side), (_MARGIN + column * step, top + row * step))
    return grid


def _resized(channel: np.ndarray, side: int) -> np.ndarray:
    """Scale a channel to `side` pixels along its longer side before it is coloured: single cells stay to be seen."""
    height, width = channel.shape
    scale = side / max(height, width)
    way = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    return np.asarray(
        Image.fromarray(channel).resize((max(round(width * scale), 1), max(round(height * scale), 1)), way)
    )


def _note(activations: np.ndarray, shown: np.ndarray) -> str:
    height, width, channels = activations.shape
    n_shown = shown.shape[2]
    finite = np.isfinite(activations[:, :, :n_shown]).all(axis=(0, 1))
    counts = {"constant": int((finite & (shown.max(axis=(0, 1)) == 0)).sum()), "not finite": int((~finite).sum())}
    told = f"{channels} channels" if n_shown == channels else f"the first {n_shown} of {channels} channels"
    dark = "".join(f"; {count} {why}" for why, count in counts.items() if count)
    return f"{told} of {height} × {width}, each scaled to its own range{dark}"

"""What is done to an image before a model of anyone's: said by the user, or seen to be done in the model itself."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tasks.backbones.build import preprocessed
from tasks.backbones.cut import part
from tasks.backbones.registry import Preprocessing, names
from tasks.backbones.spec import SPECS, nearest
from tasks.config import InputError
from tasks.explanation.graph import calls, crossed_by_all

IN_THE_MODEL = "model"
"""The model takes RGB images with values 0 to 255 as they are."""

SCALED = (0.05, 50.0)
"""Between these, a prepared channel's distance from black to white lies; unprepared it is 255, and with a model that
wants values 0 to 1 and is given 0 to 255 it is larger still, or 255."""

CENTRED = 64.0
"""Where black and white of a channel lie this far on either side of 0 and no further apart than 255, means have been
taken off and nothing else was done, as for VGG16."""


def entry_of(image: Any, how: Preprocessing | None, channels: int) -> Any:
    """Give what a model takes, of shape (n, h, w, channels), from RGB images of shape (n, h, w, 3), 0 to 255.

    A model with one channel is given the luminance (ITU-R BT.601).
    """
    x = image if how is None else preprocessed(image, how)
    return keras.ops.image.rgb_to_grayscale(x) if channels == 1 else x


def chosen_preprocessing(choice: Preprocessing | str | None) -> Preprocessing | None:
    """Give what is to be done to an image outside the model; None: nothing.

    Parameters
    ----------
    choice : Preprocessing, str or None
        Scale, offset and channel order; a backbone's name, whose pre-processing is taken; `model`, or None.

    Raises
    ------
    InputError
        There is no such backbone.
    """
    if choice is None or isinstance(choice, Preprocessing):
        return choice
    if choice == IN_THE_MODEL:
        return None
    if choice not in SPECS:
        near = nearest(choice, {IN_THE_MODEL: None, **SPECS})
        raise InputError(f"There is no pre-processing called {choice!r}{near}. {_choices()}")
    return SPECS[choice].preprocessing


def check_preprocessing(model: Any, entry: Any, choice: Preprocessing | str | None) -> None:
    """Refuse a flat model whose images would not be prepared, or would be twice.

    Parameters
    ----------
    model : keras.Model
        Flat, from RGB images to probabilities.
    entry : KerasTensor
        Where the maker's own model begins in it.
    choice : Preprocessing, str or None
        As in `chosen_preprocessing`; None: nothing was said.

    Raises
    ------
    InputError
        Nothing was said and the model does not prepare images; or it does, and they would be scaled before it too.
    """
    if choice == IN_THE_MODEL:
        return
    inside, how = prepares(model, entry), chosen_preprocessing(choice)
    if how is None:
        if not inside:
            raise InputError(
                f"The model `{model.name}` does not say what is done to an image before it, and to guess would give "
                f"wrong pictures: it does not begin with layers that scale images of values 0 to 255. {_choices()}"
            )
    elif inside and (any(scale != 1 for scale in how.scale) or any(how.offset)):
        raise InputError(
            f"The model `{model.name}` scales images itself in its first layers, so that the pre-processing that is "
            f"asked for would be done twice. Leave out --preprocessing."
        )


def prepares(model: Any, entry: Any) -> bool:
    """Tell whether a flat model's own first layers scale images of values 0 to 255.

    Looked at is what lies before the first layer with weights other than a Normalization; it is judged by what it
    makes of a black and of a white image (see `SCALED` and `CENTRED`).
    """
    end = _before_weights(model, entry)
    if end is entry:
        return False
    _, height, width, channels = entry.shape
    pictures = np.zeros((2, height, width, channels), dtype=np.float32)
    pictures[1] = 255
    seen = np.asarray(part(model, entry, end)(pictures, training=False), dtype=np.float64)
    black, white = seen[:, seen.shape[1] // 2, seen.shape[2] // 2]
    apart = np.abs(white - black)
    scaled = (apart >= SCALED[0]) & (apart <= SCALED[1])
    centred = (apart <= 255.5) & (np.minimum(black, white) <= -CENTRED) & (np.maximum(black, white) >= CENTRED)
    return bool(scaled.all() or centred.all())


def _before_weights(model: Any, entry: Any) -> Any:
    """Give the last picture that every path crosses before the first layer with weights of its own."""
    before = entry
    for call in crossed_by_all(entry, model.outputs[0]):
        if len(call.outputs) != 1 or any(_learns(below.operation) for below in calls(call.outputs[0])):
            break
        if len(call.outputs[0].shape) == 4:
            before = call.outputs[0]
    return before


def _learns(operation: Any) -> bool:
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, keras.layers.Normalization)


def _choices() -> str:
    return (
        f"Give one of these with --preprocessing: `{IN_THE_MODEL}` (it takes RGB values 0 to 255 as they are); the "
        f"name of the backbone whose pre-processing it was trained with ({', '.join(names())}; `ncnn` is 0 to 1, "
        "`inceptionv3` -1 to 1); or a YAML file with scale, offset and channel_order."
    )

"""Models of anyone's made ready for every method of explanation; the model itself is not changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from tasks.backbones.spec import Preprocessing
from tasks.config import InputError, Kind
from tasks.explanation.flattening import flat_outputs, has_graph
from tasks.explanation.foreign_logits import OutputActivation, with_logits
from tasks.explanation.foreign_preprocessing import check_preprocessing, chosen_preprocessing, entry_of


@dataclass(frozen=True)
class ForeignModel:
    """A model of anyone's as one flat graph, and what must be known to explain it.

    Attributes
    ----------
    model : keras.Model
        From RGB images of shape (n, height, width, 3), float32, 0 to 255, to probabilities of shape (n, n_outputs). It
        ends in the layers `logits` and `probabilities`, every layer is called once, and the weights are those of the
        model that it was made of: what is set there is set here.
    height, width : int
        The size of its images in pixels.
    n_outputs : int
        How many logits.
    activation : {"softmax", "sigmoid"}
        What makes probabilities of them.
    preprocessing : Preprocessing or None
        What the flat model does to an image before the other one begins; None: nothing.
    """

    model: Any
    height: int
    width: int
    n_outputs: int
    activation: OutputActivation
    preprocessing: Preprocessing | None

    @property
    def n_classes(self) -> int:
        """How many classes it tells apart: two where it has one output."""
        return max(self.n_outputs, 2)

    @property
    def kind(self) -> Kind:
        """The kind of labels, unless the user says that several sigmoids are grades."""
        return "multilabel" if self.activation == "sigmoid" and self.n_outputs > 1 else "multiclass"


def flattened(
    model: Any,
    *,
    preprocessing: Preprocessing | str | None = None,
    activation: OutputActivation | None = None,
    size: int | None = None,
) -> ForeignModel:
    """Give a model of models as one flat graph that shares its weights.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential, built, with one input for images and one output for classes. It may hold other
        models, as `backbone(inputs)` does. It is not changed.
    preprocessing : Preprocessing, str or None
        What is done to an RGB image with values 0 to 255 before it: scale, offset and channel order; the name of a
        backbone, for what is done before that; or `model`, for nothing. None: only for models that begin with layers
        which scale such images.
    activation : {"softmax", "sigmoid"} or None
        How plain logits are read; None: as the model says.
    size : int or None
        Height and width of the images in pixels, for models that take any; None: the model's own.

    Raises
    ------
    InputError
        The model cannot be explained, with the reason; or its pre-processing, the size of its images or the meaning
        of its logits is neither known nor said.
    """
    height, width, channels = _image_shape(model, size)
    how = chosen_preprocessing(preprocessing)
    image = keras.Input((height, width, 3), dtype="float32", name="image")
    entry = entry_of(image, how, channels)
    taken = {operation.name for operation in keras.Function(image, entry).operations} | {"logits", "probabilities"}
    try:
        (output,) = flat_outputs(model, entry, taken)
    except Exception as fault:  # Keras raises of every kind where layers do not take what they are given
        first = next(iter(str(fault).strip().splitlines()), type(fault).__name__)
        raise InputError(
            f"The layers of the model `{model.name}` cannot be laid out for images of {height} × {width} pixels: "
            f"{first[:200]} Give images of a size that it takes, or save it anew with the Keras that made it."
        ) from fault
    probabilities, known = with_logits(output, activation, model.name)
    flat = keras.Model(image, probabilities, name=model.name)
    check_preprocessing(flat, entry, preprocessing)
    return ForeignModel(flat, height, width, int(output.shape[-1]), known, how)


def _image_shape(model: Any, size: int | None) -> tuple[int, int, int]:
    """Give height, width and channels of a model's images, once it is clear that it takes images and gives classes."""
    _check_graph(model)
    shape, output = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(shape) != 4 or shape[3] not in (1, 3, None):
        first = ", with the channels first" if len(shape) == 4 and shape[1] in (1, 3) else ""
        raise InputError(
            f"The model `{model.name}` takes inputs of shape {shape}{first}. A model that can be explained takes "
            "images of shape (n, height, width, 3), or with 1 channel."
        )
    if len(output) != 2 or output[1] is None:
        raise InputError(
            f"The model `{model.name}` gives outputs of shape {output}, not one number a class for each image: (n, "
            "number of classes). Only classifiers can be explained."
        )
    own = shape[1:3]
    if size is not None and any(extent not in (None, size) for extent in own):
        raise InputError(
            f"The model `{model.name}` takes images of {own[0]} × {own[1]} pixels, not {size}. Leave out --size."
        )
    height, width = (size if extent is None else extent for extent in own)
    if height is None or width is None:
        raise InputError(
            f"The model `{model.name}` takes images of any size. Say with --size of how many pixels it was trained, in "
            "height and in width."
        )
    return height, width, shape[3] or 3


def _check_graph(model: Any) -> None:
    if not has_graph(model):
        raise InputError(
            f"The model `{model.name}` is a class of its maker's own ({type(model).__name__}) with a `call` in Python, "
            "so that it is not known how its layers are connected. Build it as a functional or sequential model."
        )
    if not hasattr(model, "inputs"):
        raise InputError(
            f"The sequential model `{model.name}` was never built: it is not known what images it takes. Let it begin "
            "with `keras.Input((height, width, 3))`, and save it again."
        )
    for what, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            names = ", ".join(tensor._keras_history.operation.name for tensor in tensors)
            raise InputError(
                f"The model `{model.name}` has {len(tensors)} {what} ({names}), and one can be explained at a time. "
                "Make a model of one image and one answer: `keras.Model(image, answer)`."
            )

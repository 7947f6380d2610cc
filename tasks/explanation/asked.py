"""What is asked for when images are explained, as far as it can be checked before TensorFlow is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tasks.backbones.registry import get_with_classifier
from tasks.backbones.registry import names as backbones
from tasks.config import Explanation, InputError
from tasks.dataset.wording import listed, nearest, nearest_sibling
from tasks.explanation.methods import METHODS

FILES = (".keras", ".h5", ".hdf5")
"""Endings of model files."""

MEASURED = 32
"""Maps whose faithfulness is measured where no other number is given: some 100 forward passes each."""

_RUN_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Asked:
    """What is explained, and how.

    Attributes
    ----------
    settings : Explanation
        Methods, their options and looks; `feature_maps` says which of these are drawn.
    layers : tuple of str
        What CAM methods map, several at once; none: what `settings.layer` says, or the model's own layer.
    top : int or None
        How many of the likeliest classes; None and no `classes`: what is decided for the image.
    classes : tuple of str
        Classes that are explained on every image, by name.
    against : str or None
        A class that the only one of `classes` is held against: why that and not this.
    measured : int
        How many maps' faithfulness is measured, the first ones; 0: none.
    """

    settings: Explanation = field(default_factory=Explanation)
    layers: tuple[str, ...] = ()
    top: int | None = None
    classes: tuple[str, ...] = ()
    against: str | None = None
    measured: int = MEASURED

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises
        ------
        InputError
            Saying which parts.
        """
        if self.top is not None and self.top < 1:
            raise InputError(f"--top: the number of classes to explain must be 1 or more, not {self.top}.")
        if self.measured < 0:
            raise InputError(f"--faithfulness: the number of maps to measure must be 0 or more, not {self.measured}.")
        if self.against is not None and (len(self.classes) != 1 or self.top is not None):
            raise InputError(
                "--against: why one class and not another is explained for one class: name it with --class, once, and "
                "leave out --top."
            )
        if self.layers and not any(METHODS[name].needs_layer for name in self.settings.methods):
            raise InputError(
                f"--layer: {listed(self.settings.methods)} explains from images and maps no layer. Leave it out, or "
                "name a CAM method."
            )


ModelKind = Literal["recorded", "file", "folder", "backbone"]


def model_kind(model: str, weights: str | None) -> ModelKind:
    """Tell what a model is named by: MLflow's record, a file, a folder of MLflow's with a model, or a backbone.

    Raises
    ------
    InputError
        None of these, a backbone without weights, or weights without a backbone.
    """
    if model in backbones():
        if weights is None:
            raise InputError(
                f"--model: {model} is a network without weights of its own. Say which with --weights: `imagenet`, or a "
                "file of the whole network. To explain a trained model, name its run, registry address or file."
            )
        get_with_classifier(model, weights, None)
        return "backbone"
    if weights is not None:
        raise InputError(
            f"--weights: these are for a bare backbone, and --model {model} is none ({', '.join(backbones())}). Leave "
            "it out: the model brings its weights along."
        )
    path = Path(model).expanduser()
    if (path / "MLmodel").is_file():
        return "folder"
    if not model.startswith(("models:/", "runs:/")) and (path.exists() or path.suffix.lower() in FILES):
        if not path.exists():
            raise InputError(f"--model: there is no file {model}{nearest_sibling(path.absolute())}.")
        return "file"
    if model.startswith(("models:/", "runs:/")) or _RUN_ID.fullmatch(model) or re.fullmatch(".+/[^/]+/[0-9]+", model):
        return "recorded"
    like = nearest(model, backbones())
    hint = f" Is the backbone {like} meant?" if like else ""
    raise InputError(
        f"--model: there is no model {model!r}.{hint} Name a registered model (models:/NAME@champion, models:/NAME/1), "
        "a run (runs:/ID/model, or a fold run's id), a fold run as EXPERIMENT/BACKBONE/FOLD, a .keras or .h5 file, or "
        "a backbone with --weights."
    )


def checked_methods(names: Sequence[str]) -> list[str]:
    """Give the names of methods, each once.

    Raises
    ------
    InputError
        One is unknown; the message lists the known ones and the nearest.
    """
    for name in names:
        if name not in METHODS:
            like = nearest(name, list(METHODS))
            hint = f" Did you mean {like}?" if like else ""
            raise InputError(f"--method: there is no method {name!r}.{hint} Known are: {', '.join(METHODS)}.")
    return list(dict.fromkeys(names))


def feature_layers(asked: Sequence[str]) -> int | list[str]:
    """Give which layers' channels are drawn: so many of the first convolutions, or layers by name.

    Raises
    ------
    InputError
        A number stands beside something else, or is not from 1 to 100.
    """
    numbers = [int(text) for text in asked if text.isdecimal()]
    if not numbers:
        return list(dict.fromkeys(asked)) or 0
    if len(asked) > 1 or not 1 <= numbers[0] <= 100:
        raise InputError(
            f"--feature-maps: got {', '.join(asked)}. Give one number, 1 to 100, for so many of the first "
            "convolutions, or names of layers."
        )
    return numbers[0]

"""The backbones by name. Listing them does not load TensorFlow; building one does."""

from __future__ import annotations

from pathlib import Path

from tasks.backbones import applications, ncnn, vggface
from tasks.backbones.spec import SPECS, BackboneSpec, Preprocessing, nearest, register
from tasks.config import InputError

__all__ = ["MODULES", "BackboneSpec", "Preprocessing", "get", "get_with_classifier", "names", "register"]

MODULES = (applications, ncnn, vggface)
"""The modules whose decorated builders fill the registry; a new one is added here."""


def get(name: str) -> BackboneSpec:
    """Give the backbone registered under `name`.

    Raises
    ------
    InputError
        When there is none; the message lists the known names and the nearest.
    """
    if name not in SPECS:
        raise InputError(
            f"Unknown backbone. Received: {name}; known: {', '.join(names())}{nearest(name, SPECS)}. "
            "Write one of the known names under `backbones`."
        )
    return SPECS[name]


def get_with_classifier(name: str, weights: str, size: int | None) -> BackboneSpec:
    """Give the backbone registered under `name` that is to be used with its own classifier of ImageNet's classes.

    Raises
    ------
    InputError
        It has none, its classifier takes images of another size in pixels, or there are no such weights.
    """
    spec = get(name)
    if name not in applications.CONSTRUCTORS:
        raise InputError(
            f"The backbone {name} has no classifier of ImageNet's classes. `head: pretrained` is for: "
            f"{', '.join(sorted(applications.CONSTRUCTORS))}."
        )
    if size not in (None, spec.native_size):
        raise InputError(
            f"The pretrained classifier of {name} takes images of {spec.native_size} pixels, not {size}. Leave "
            "`size` out."
        )
    if weights != "imagenet" and not Path(weights).is_file():
        raise InputError(
            f"The pretrained classifier of {name} needs the weights `imagenet`, or the path of a weight file with "
            f"its top; there is no file {weights}."
        )
    return spec


def names() -> list[str]:
    """Give the names of all backbones, sorted."""
    return sorted(SPECS)

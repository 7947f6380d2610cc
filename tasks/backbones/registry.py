"""The backbones by name. Listing them does not load TensorFlow; building one does."""

from __future__ import annotations

from tasks.backbones import applications, ncnn, vggface
from tasks.backbones.spec import SPECS, BackboneSpec, Preprocessing, nearest, register
from tasks.config import InputError

__all__ = ["MODULES", "BackboneSpec", "Preprocessing", "get", "names", "register"]

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


def names() -> list[str]:
    """Give the names of all backbones, sorted."""
    return sorted(SPECS)

"""Methods of explanation built for a model with an experiment's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tasks.config import Explanation
from tasks.explanation.maps import normalise
from tasks.explanation.methods import get

Explainer = Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]]
"""Gives the probabilities and the raw maps of a batch of inputs, for these classes (None: the likeliest ones)."""


def build_method(
    name: str,
    model: Any,
    cam_layer: str | Sequence[str],
    settings: Explanation,
    *,
    class_scores: np.ndarray | None = None,
    start_layer: str | None = None,
    seed: int = 0,
) -> Any:
    """Build a method for a model.

    Parameters
    ----------
    name : str
        Its name in the registry.
    model : keras.Model
        A flat model that ends in the layers `logits` and `probabilities`.
    cam_layer : str or sequence of str
        The layer, or several, that CAM methods map where the settings name none.
    settings : Explanation
        What the method's own options are taken from.
    class_scores : ndarray of shape (n_outputs, n_classes) or None
        See `tasks.explanation.cam_method.CamMethod`.
    start_layer : str or None
        Where the inputs enter, for methods that can start from features; None: images.
    seed : int
        For methods that draw at random.

    Raises
    ------
    InputError
        The method is unknown, does not go with the model, or an option does not.
    """
    method = get(name)
    layer = settings.layer or cam_layer
    options = _options(name, settings, seed) | {"class_scores": class_scores}
    if method.needs_layer and start_layer is not None:
        options["start_layer"] = start_layer
    return method.load()(model, layer if method.needs_layer else None, **options)


BRIGHTEST = 99
"""The percentile of a map's pixels at which its colours end, for methods whose maps few pixels hold most of."""


def in_colours(name: str, maps: np.ndarray) -> np.ndarray:
    """Give a method's raw maps as people see them, 0 to 1.

    Parameters
    ----------
    name : str
        The method.
    maps : ndarray of shape (n, h, w)
        Raw maps.

    Returns
    -------
    ndarray of shape (n, h, w), float32, 0 to 1
        As `maps.normalise` gives them; where few pixels hold most of a map, its colours end at `BRIGHTEST`.
    """
    return normalise(shown(name, maps), BRIGHTEST if get(name).few_pixels else 100)


def shown(name: str, maps: np.ndarray) -> np.ndarray:
    """Give a method's raw maps as they are measured: less their least value where the method says so.

    Parameters
    ----------
    name : str
        The method.
    maps : ndarray of shape (n, h, w)
        Raw maps.
    """
    if not get(name).above_least or not maps.size:
        return maps
    above: np.ndarray = maps - maps.min(axis=(1, 2), keepdims=True)
    return above


def _options(name: str, settings: Explanation, seed: int) -> dict[str, Any]:
    own = getattr(settings, name, None)
    options = {} if own is None else own.model_dump()
    return options | ({"seed": seed} if name in ("smoothgrad", "rise") else {})

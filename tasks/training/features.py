"""What lies under a frozen boundary, computed once per backbone and image for all folds and epochs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import keras
import numpy as np

from tasks.backbones.build import BuiltModel
from tasks.backbones.cut import part
from tasks.backbones.heads import PREFIX
from tasks.config import Augmentation
from tasks.training.activations import Keeper, Told, compiled_change, compiled_part, tensor_of
from tasks.training.variants import Variants

if TYPE_CHECKING:
    from tasks.dataset.store import ArrayStore

Progress = Callable[[int, int], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What a model is trained and explained from.

    Attributes
    ----------
    start : str or None
        The layer whose activations are fed to training; None: images.
    trained : keras.Model
        The part of the model from there to the logits; training it trains the model.
    rows : ndarray of shape (n_images, ...)
        Its inputs, one row an image as it is, memory-mapped; all but training takes these.
    cam_start : str or None
        The layer whose activations are fed to Grad-CAM; None: images.
    cam_rows : ndarray of shape (n_images, ...)
        Grad-CAM's inputs.
    variants : Variants or None
        The fixed variants that training takes; None: the rows, or images changed anew in every epoch.
    params : dict of str to str
        What was chosen, for the log: `trains_from`; with features also `features_error`.
    """

    start: str | None
    trained: keras.Model
    rows: np.ndarray
    cam_start: str | None
    cam_rows: np.ndarray
    variants: Variants | None
    params: dict[str, str]


def training_inputs(
    built: BuiltModel,
    images: np.ndarray,
    images_digest: str,
    store: ArrayStore,
    *,
    augmentation: Augmentation,
    seed: int,
    dtype: str = "float32",
    progress: Progress | None = None,
) -> Inputs:
    """Give what a model is trained and explained from: frozen features where they serve, images elsewhere.

    With a frozen boundary, everything that is the same in every epoch and fold is computed once: the activations at
    the boundary and, where a pooling without weights follows, the pooled ones; with `augmentation.mode: cached` also
    those of each image's fixed variants. Images changed anew in every epoch leave nothing to be kept.

    Parameters
    ----------
    built : BuiltModel
        The model; its layers up to the boundary run in inference mode.
    images : ndarray of shape (n_images, size, size, 3), uint8
        All images of the experiment.
    images_digest : str
        What the images are; part of the store's key.
    store : ArrayStore
        Where the activations are kept; none are kept that would fill more than half of it.
    augmentation : Augmentation
        How training images are changed.
    seed : int
        Decides the fixed variants.
    dtype : {"float32", "float16"}
        What the activations are kept in.
    progress : callable, optional
        Called with images done and images in all, each variant counted as an image.

    Raises
    ------
    InputError
        An activation lies beyond float16's range, or there is no room on the disk.
    """
    fixed = augmentation.active and augmentation.mode == "cached" and built.boundary is not None
    variants = Variants(seed, augmentation.variants) if fixed else None
    start = None if built.boundary is None else _settled(built, built.boundary)
    size = _gigabytes(built, start, len(images), variants, dtype)
    too_large = size > store.max_gb / 2
    if built.boundary is None or start is None or too_large or (augmentation.active and not fixed):
        reason = f"frozen features of {size:.3g} GB would fill more than half of cache.max_gb" if too_large else ""
        params = {"trains_from": _said_of_images(augmentation, variants, reason)}
        inputs = Inputs(None, _to_logits(built, None), images, None, images, variants, params)
    else:
        keeper = Keeper(built, images_digest, len(images), store, dtype)
        inputs = _features(keeper, built.boundary, start, images, augmentation, variants, progress)
    logger.info("%s trains from %s", built.spec.name, "; ".join(inputs.params.values()))
    return inputs


def frozen_gigabytes(built: BuiltModel, n_images: int, augmentation: Augmentation, dtype: str) -> float:
    """Give the disk space in GB (10⁹ bytes) of the frozen features of so many images; 0 where none are kept."""
    fixed = augmentation.active and augmentation.mode == "cached"
    if built.boundary is None or (augmentation.active and not fixed):
        return 0.0
    variants = Variants(0, augmentation.variants) if fixed else None
    return _gigabytes(built, _settled(built, built.boundary), n_images, variants, dtype)


def _features(
    keeper: Keeper,
    boundary: str,
    start: str,
    images: np.ndarray,
    augmentation: Augmentation,
    variants: Variants | None,
    progress: Progress | None,
) -> Inputs:
    built = keeper.built
    passes = 1 + (variants.number if variants else 0)

    def told(number: int) -> Told | None:
        return None if progress is None else lambda done: progress(number * len(images) + done, passes * len(images))

    trunk = compiled_part(built, None, boundary)
    whole, error = keeper.keep(boundary, lambda rows: trunk(images[rows]), told=told(0))
    rows, errors, above = whole, [error], None
    if start != boundary:
        above = compiled_part(built, boundary, start)
        rows, error = keeper.keep(start, lambda chosen: above(whole[chosen]))
        errors.append(error)
    if variants is not None:
        change, kept = compiled_change(augmentation, variants.seed), []
        for turn in range(variants.number):

            def compute(rows: np.ndarray, turn: int = turn) -> np.ndarray:
                found = trunk(change(images[rows], rows, turn))
                return found if above is None else above(found)

            key = augmentation.changes | {"seed": variants.seed, "number": turn}
            array, error = keeper.keep(start, compute, key, told(turn + 1))
            kept.append(array)
            errors.append(error)
        variants = replace(variants, kept=tuple(kept))
    params = _said_of_features(start, keeper.dtype, variants, max(errors))
    return Inputs(start, _to_logits(built, start), rows, boundary, whole, variants, params)


def _said_of_images(augmentation: Augmentation, variants: Variants | None, reason: str) -> str:
    if variants is not None:
        said = f"{variants.number} fixed variants of each image, made again when needed"
    elif augmentation.active:
        said = "images, changed anew in every epoch"
        if augmentation.mode == "cached":
            reason = "augmentation.mode is cached, but nothing is frozen"
    else:
        said = "images"
    return f"{said} ({reason})" if reason else said


def _said_of_features(start: str, dtype: str, variants: Variants | None, error: float) -> dict[str, str]:
    said = f"frozen features at {start}"
    if dtype != "float32":
        said += f" in {dtype}"
    if variants is not None:
        said += f", {variants.number} fixed variants of each image"
    return {"trains_from": said, "features_error": f"{error:.1e} of the largest activation"}


def _settled(built: BuiltModel, boundary: str) -> str:
    """Give the last layer above the boundary before which nothing is learnt and nothing is random."""
    for name in (f"{PREFIX}pool", f"{PREFIX}flatten"):
        if any(layer.name == name for layer in built.model.layers):
            between = part(built.model, tensor_of(built, boundary), tensor_of(built, name))
            if not between.variables:
                return name
    return boundary


def _to_logits(built: BuiltModel, start: str | None) -> keras.Model:
    return part(built.model, tensor_of(built, start), tensor_of(built, "logits"))


def _gigabytes(built: BuiltModel, start: str | None, n_images: int, variants: Variants | None, dtype: str) -> float:
    """Give the disk space in GB (10⁹ bytes) of all activations that would be kept."""
    if built.boundary is None or start is None:
        return 0.0
    whole, settled = (int(np.prod(tensor_of(built, layer).shape[1:])) for layer in (built.boundary, start))
    numbers = whole + (settled if start != built.boundary else 0) + (settled * variants.number if variants else 0)
    return n_images * numbers * np.dtype(dtype).itemsize / 1e9

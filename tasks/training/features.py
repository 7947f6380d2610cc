"""What lies under a frozen boundary, computed once per backbone and image for all folds and epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tasks.backbones.build import BuiltModel
from tasks.backbones.cut import part

if TYPE_CHECKING:
    from tasks.dataset.store import ArrayStore

BATCH = 32
"""Images a step; fixed, since the size of a batch can change a convolution's last bits."""


def frozen_features(
    built: BuiltModel,
    images: np.ndarray,
    images_digest: str,
    store: ArrayStore,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray | None:
    """Give the activations at the freeze boundary for every image, from the store or computed now.

    Parameters
    ----------
    built : BuiltModel
        The model; its layers up to the boundary run in inference mode.
    images : ndarray of shape (n_images, size, size, 3), uint8
        All images of the experiment.
    images_digest : str
        What the images are; part of the store's key.
    store : ArrayStore
        Where the activations are kept.
    progress : callable, optional
        Called with images done and images in all.

    Returns
    -------
    ndarray of shape (n_images, ...), float32, or None
        None where nothing is frozen, or where the activations would not fit into half of the store.
    """
    if built.boundary is None:
        return None
    trunk = part(built.model, built.model.inputs[0], built.model.get_layer(built.boundary).output)
    shape = (len(images), *trunk.output_shape[1:])
    if np.prod(shape, dtype=np.int64) * 4 > store.max_gb * 1e9 / 2:
        return None
    forward = tf.function(
        lambda batch: tf.cast(trunk(batch, training=False), tf.float32),
        input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.float32)],
    )

    def fill(out: np.ndarray) -> None:
        for start in range(0, len(images), BATCH):
            out[start : start + BATCH] = forward(images[start : start + BATCH].astype(np.float32)).numpy()
            if progress is not None:
                progress(min(start + BATCH, len(images)), len(images))

    return store.make(_key(built, images, images_digest), shape, np.dtype(np.float32), fill)


def _key(built: BuiltModel, images: np.ndarray, images_digest: str) -> dict[str, Any]:
    return {
        "what": "frozen features",
        "backbone": built.spec.name,
        "weights": built.weights_digest,
        "boundary": built.boundary,
        "size": int(images.shape[1]),
        "images": images_digest,
        "policy": keras.mixed_precision.global_policy().name,
        "tensorflow": tf.__version__,
    }


def trained_part(built: BuiltModel, from_boundary: bool) -> keras.Model:
    """Give the part of the model that is fitted: from images, or from activations at the boundary, to the logits.

    Its layers are the model's own: training it trains the model.
    """
    start = built.model.get_layer(built.boundary).output if from_boundary else built.model.inputs[0]
    return part(built.model, start, built.model.get_layer("logits").output)

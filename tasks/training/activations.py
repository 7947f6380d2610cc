"""Activations of a network's layers for all images: computed batch by batch, once, into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tasks.backbones.build import BuiltModel
from tasks.backbones.cut import part
from tasks.config import Augmentation, InputError
from tasks.training.augment import augment
from tasks.training.fit import compiled_logits

if TYPE_CHECKING:
    from tasks.dataset.store import ArrayStore

Compute = Callable[[np.ndarray], np.ndarray]
"""From row numbers to their activations in float32."""

Told = Callable[[int], None]
"""Is called with the number of images done."""

BATCH = 32
"""Images a step; fixed, since the size of a batch can change a convolution's last bits."""


@dataclass(frozen=True)
class Keeper:
    """Keeps the activations of one model's layers for one set of images.

    Attributes
    ----------
    built : BuiltModel
        The model.
    images_digest : str
        What the images are.
    n_images : int
        How many they are.
    store : ArrayStore
        Where the arrays lie.
    dtype : {"float32", "float16"}
        What the activations are kept in.
    """

    built: BuiltModel
    images_digest: str
    n_images: int
    store: ArrayStore
    dtype: str

    def keep(
        self, layer: str, compute: Compute, variant: Mapping[str, Any] | None = None, told: Told | None = None
    ) -> tuple[np.ndarray, float]:
        """Give a layer's activations, from the store or computed now, and how much they are rounded.

        Parameters
        ----------
        layer : str
            The layer's name.
        compute : callable
            Computes the activations of some rows.
        variant : mapping, optional
            All that decides how the images are changed first; None: they are not.
        told : callable, optional
            Called with the number of images done.

        Returns
        -------
        activations : ndarray of shape (n_images, ...)
            In the keeper's type, memory-mapped.
        error : float
            The largest rounding error as a share of the largest activation, both without sign; 0 in float32.

        Raises
        ------
        InputError
            An activation lies beyond float16's range, or there is no room on the disk.
        """
        key = self._key(layer) | ({"variant": dict(variant)} if variant else {})
        shape = (self.n_images, *self.built.model.get_layer(layer).output.shape[1:])
        error_key = key | {"what": "rounding error of frozen features"}
        rounds = self.dtype != "float32"

        def fill(out: np.ndarray) -> None:
            error = self._fill(layer, compute, told, out)
            if rounds:
                self.store.make(error_key, (1,), np.float64, lambda at: at.fill(error))

        def measure(at: np.ndarray) -> None:
            at.fill(self._fill(layer, compute, None, None))

        kept = self.store.make(key, shape, self.dtype, fill)
        return kept, float(self.store.make(error_key, (1,), np.float64, measure)[0]) if rounds else 0.0

    def _key(self, layer: str) -> dict[str, Any]:
        return {
            "what": "frozen features",
            "backbone": self.built.spec.name,
            "weights": self.built.weights_digest,
            "layer": layer,
            "size": int(self.built.model.input_shape[1]),
            "images": self.images_digest,
            "dtype": self.dtype,
            "policy": keras.mixed_precision.global_policy().name,
            "versions": {"foldcam": version("foldcam"), "keras": keras.__version__, "tensorflow": tf.__version__},
        }

    def _fill(self, layer: str, compute: Compute, told: Told | None, out: np.ndarray | None) -> float:
        """Compute all activations, into `out` where there is one, and give their largest relative rounding error."""
        worst = largest = 0.0
        for first in range(0, self.n_images, BATCH):
            rows = np.arange(first, min(first + BATCH, self.n_images))
            exact = compute(rows)
            rounded = self._rounded(exact, layer)
            if out is not None:
                out[first : first + BATCH] = rounded
            with np.errstate(invalid="ignore"):
                worst = max(worst, float(np.abs(exact - rounded).max()))
            largest = max(largest, float(np.abs(exact).max()))
            if told is not None:
                told(int(rows[-1]) + 1)
        return worst / largest if largest else 0.0

    def _rounded(self, exact: np.ndarray, layer: str) -> np.ndarray:
        with np.errstate(over="ignore"):
            rounded = exact.astype(self.dtype)
        if (np.isinf(rounded) & np.isfinite(exact)).any():
            limit, reached = float(np.finfo(self.dtype).max), float(np.abs(exact).max())
            raise InputError(
                f"The activations of {self.built.spec.name} at its layer {layer} reach {reached:.3g}, beyond "
                f"float16's range of {limit:.0f}, and cannot be kept in it. Set cache.feature_dtype to float32."
            )
        return rounded


def compiled_part(built: BuiltModel, start: str | None, end: str) -> Callable[[np.ndarray], np.ndarray]:
    """Give the network between two layers (None: from the images) in inference mode, compiled for every batch size."""
    return compiled_logits(part(built.model, tensor_of(built, start), tensor_of(built, end)))


def compiled_change(how: Augmentation, seed: int) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """Give the function that changes images (n, h, w, 3) with their row numbers into one of their variants."""
    change = tf.function(
        lambda batch, rows, turn: augment(batch, rows, turn, how, seed),
        input_signature=[
            tf.TensorSpec((None, None, None, 3), tf.float32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((), tf.int64),
        ],
    )
    return lambda batch, rows, turn: np.asarray(change(np.asarray(batch, np.float32), rows, turn).numpy())


def tensor_of(built: BuiltModel, layer: str | None) -> Any:
    """Give a layer's output tensor; None: the images."""
    return built.model.inputs[0] if layer is None else built.model.get_layer(layer).output

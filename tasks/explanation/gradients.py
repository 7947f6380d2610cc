"""Saliency and SmoothGrad: how strongly a class's score answers to a small change of each pixel."""

from __future__ import annotations

from typing import Literal, get_args

import keras
import numpy as np

from tasks.config import InputError
from tasks.explanation.image_method import (
    BATCH,
    MAX_PASSES,
    Forward,
    ImageMethod,
    compiled_slopes,
    pieces,
    plain_forward,
)

Channels = Literal["max", "norm"]
"""How a pixel's three slopes become one number: the largest amount, or the Euclidean norm."""


class Saliency(ImageMethod):
    """The amount of the gradient of the target's score, pixel by pixel (Simonyan et al., 2014, section 3).

    The gradient is taken with respect to the image that the model takes, 0 to 255, before the model's own
    pre-processing, and of the logit (or of the target's column of `logits @ class_scores`), not of the probability. A
    map's values, 0 or more, are in score per unit of a pixel: how much it matters, not whether for or against.

    Parameters
    ----------
    model, logits_layer, class_scores
        As in `ImageMethod`, and so are the errors.
    cam_layer : None
        Not used; all methods are built alike.
    channels : {"max", "norm"}
        What a pixel's value is: the largest amount of its three slopes, as published, or their Euclidean norm.

    Raises
    ------
    InputError
        If there is no such way to join the channels.
    """

    title = "Saliency"
    passes = "1 forward and 1 backward"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | None = None,  # noqa: ARG002 — all methods are built alike
        *,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
        channels: Channels = "max",
    ) -> None:
        super().__init__(model, logits_layer, class_scores)
        if channels not in get_args(Channels):
            raise InputError(f"{self.title} knows no `channels: {channels}`. Choose one of: max, norm.")
        self._channels: Channels = channels
        self.n_passes = 2
        self._slopes = compiled_slopes(self._forward(), self.input_shape, class_scores)

    def _forward(self) -> Forward:
        return plain_forward(self._network)

    def _explained(self, images: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, _, slopes = self._slopes(images, wanted)
        return probabilities.numpy(), joined_channels(slopes.numpy(), self._channels)


class SmoothGrad(Saliency):
    """Saliency of the mean gradient over noisy copies of the image (Smilkov et al., 2017, section 3).

    The gradients are averaged with their signs, and the channels are joined afterwards. Copies are not cut off at 0 and
    255. The predicted class is that of the image without noise. Every image gets the same noise, scaled to its own
    range, so a map depends neither on the batch nor on the images before it; the same seed gives the same noise to the
    bit.

    Parameters
    ----------
    model, cam_layer, logits_layer, class_scores, channels
        As in `Saliency`, and so are the errors.
    n_samples : int
        Noisy copies of an image, 1 or more.
    noise : float
        Standard deviation of the Gaussian noise in shares of the image's range, its maximum less its minimum; 0 or
        more. Smilkov et al. recommend 0.1 to 0.2.
    seed : int
        Of the noise.
    batch : int
        Copies that go through the network at once.
    max_passes : int
        Forward and backward passes that an image may take.

    Raises
    ------
    InputError
        If a setting is out of its range, or the copies take more passes than allowed.
    """

    title = "SmoothGrad"
    passes = "1 forward, then 1 forward and 1 backward a noisy copy"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | None = None,
        *,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
        channels: Channels = "max",
        n_samples: int = 25,
        noise: float = 0.15,
        seed: int = 0,
        batch: int = BATCH,
        max_passes: int = MAX_PASSES,
    ) -> None:
        super().__init__(model, cam_layer, logits_layer=logits_layer, class_scores=class_scores, channels=channels)
        if n_samples < 1 or batch < 1 or not 0 <= noise < np.inf:
            raise InputError(
                f"{self.title} needs `n_samples` and `batch` of 1 or more and `noise` of 0 or more, got {n_samples}, "
                f"{batch} and {noise}."
            )
        self.n_passes = 1 + 2 * n_samples
        self._bound(self.n_passes, max_passes, "Take fewer `n_samples`")
        self._n_samples, self._noise, self._seed, self._batch = n_samples, noise, seed, batch

    _explained = ImageMethod._explained

    def _map(self, image: np.ndarray, target: int, score: float) -> np.ndarray:  # noqa: ARG002 — only falls need it
        return joined_channels(self._mean_slope(image, target), self._channels)

    def _mean_slope(self, image: np.ndarray, target: int) -> np.ndarray:
        spread = np.float32(self._noise) * np.ptp(image)
        draws, total = np.random.default_rng(self._seed), np.zeros(image.shape, np.float64)
        for rows in pieces(self._n_samples, self._batch):
            count = rows.stop - rows.start
            copies = image + spread * draws.standard_normal((count, *image.shape), dtype=np.float32)
            _, _, slopes = self._slopes(copies, np.full(count, target, np.int32))
            total += slopes.numpy().sum(axis=0, dtype=np.float64)
        return (total / self._n_samples).astype(np.float32)


def joined_channels(slopes: np.ndarray, channels: Channels) -> np.ndarray:
    """Give one number a pixel, 0 or more, of slopes of shape (..., 3)."""
    if channels == "norm":
        return np.asarray(np.linalg.norm(slopes, axis=-1))
    return np.asarray(np.abs(slopes).max(axis=-1))

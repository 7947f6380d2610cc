"""Integrated gradients: a class's score shared out among the pixels, with a check that the shares add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import keras
import numpy as np

from tasks.config import Fill, InputError
from tasks.explanation.fills import check_fill, filled
from tasks.explanation.image_method import BATCH, MAX_PASSES, ImageMethod, compiled_slopes, pieces, plain_forward


@dataclass(frozen=True, eq=False)
class Integrated:
    """What integrated gradients give for a batch.

    Attributes
    ----------
    probabilities : ndarray of shape (n, n_outputs), float32
        What the model gives.
    attributions : ndarray of shape (n, h, w, 3), float32
        Each value's share in the difference of scores, positive where it speaks for the target.
    maps : ndarray of shape (n, h, w), float32
        The sum of the shares over the channels, sign kept.
    differences : ndarray of shape (n,), float64
        The target's score of the image less that of the baseline.
    gaps : ndarray of shape (n,), float64, 0 or more
        How far the shares are from adding up: |sum of attributions - difference| / |difference|. Completeness says 0
        for infinitely many steps (Sundararajan et al., 2017, prop. 1). Infinite where only the difference is 0.
    """

    probabilities: np.ndarray
    attributions: np.ndarray
    maps: np.ndarray
    differences: np.ndarray
    gaps: np.ndarray


class IntegratedGradients(ImageMethod):
    """The mean gradient on the straight path from a baseline to the image, times their difference.

    Sundararajan et al. (2017), eq. 1, of the target's logit (or its column of `logits @ class_scores`), with respect to
    the image that the model takes, 0 to 255. The integral is taken by the trapezoid rule over `steps` equal steps.
    A map's values are in units of the score, negative where a pixel speaks against the target.

    Parameters
    ----------
    model, logits_layer, class_scores
        As in `ImageMethod`, and so are the errors.
    cam_layer : None
        Not used; all methods are built alike.
    baseline : {"black", "white", "blur", "mean"} or ndarray of shape (h, w, 3), 0 to 255
        Where the path begins: what `tasks.explanation.fills.filled` gives for the image, or a picture for all images.
    steps : int
        Steps of the path, 1 or more; 50 to 240 are usual.
    batch : int
        Points of the path that go through the network at once.
    max_passes : int
        Forward and backward passes that an image may take.

    Raises
    ------
    InputError
        If there is no such baseline, a setting is out of its range, or the path takes more passes than allowed.
    """

    title = "Integrated gradients"
    passes = "1 forward, then 1 forward and 1 backward a point of the path (one point more than steps)"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | None = None,  # noqa: ARG002 — all methods are built alike
        *,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
        baseline: Fill | np.ndarray = "black",
        steps: int = 50,
        batch: int = BATCH,
        max_passes: int = MAX_PASSES,
    ) -> None:
        super().__init__(model, logits_layer, class_scores)
        if isinstance(baseline, str):
            check_fill(baseline, self.title, "baseline")
        if steps < 1 or batch < 1:
            raise InputError(f"{self.title} needs `steps` and `batch` of 1 or more, got {steps} and {batch}.")
        self.n_passes = 1 + 2 * (steps + 1)
        self._bound(self.n_passes, max_passes, "Take fewer `steps`")
        self._baseline, self._steps, self._batch = baseline, steps, batch
        self._slopes = compiled_slopes(plain_forward(self._network), self.input_shape, class_scores)

    def _explained(self, images: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = self._shared_out(images, wanted)
        return found.probabilities, found.maps

    def attributions(self, inputs: np.ndarray, targets: np.ndarray | None = None) -> Integrated:
        """Give the shares of every channel of every pixel, and whether they add up.

        Parameters
        ----------
        inputs : ndarray of shape (n, h, w, 3), 0 to 255
            RGB images as the model takes them.
        targets : ndarray of shape (n,), int, or None
            The class that each map is for; None: the one with the largest logit. A model with one output has the
            classes 0 and 1.

        Raises
        ------
        InputError
            If a target is not a class of the model's, there is no input, or inputs or baseline have another shape.
        ValueError
            If there are no targets although `class_scores` are given.
        """
        return self._shared_out(*self._checked(inputs, targets))

    def _shared_out(self, images: np.ndarray, wanted: np.ndarray) -> Integrated:
        probabilities, classes, _ = self._predicted(images, wanted)
        found = [self._along_path(image, target) for image, target in zip(images, classes, strict=True)]
        attributions = np.stack([shares for shares, _ in found])
        differences = np.array([difference for _, difference in found])
        short = np.abs(attributions.sum(axis=(1, 2, 3)) - differences)
        beyond = np.where(short > 0, np.inf, 0.0)
        gaps = np.divide(short, np.abs(differences), out=beyond, where=differences != 0)
        attributions = attributions.astype(np.float32)
        return Integrated(probabilities, attributions, attributions.sum(axis=-1), differences, gaps)

    def _along_path(self, image: np.ndarray, target: int) -> tuple[np.ndarray, float]:
        """Give an image's attributions, float64, and the difference of the scores at the two ends of its path."""
        start = self._start(image)
        way = image - start
        places = np.linspace(0, 1, self._steps + 1, dtype=np.float32)
        weights = np.full(self._steps + 1, 1 / self._steps)
        weights[[0, -1]] /= 2
        total, scores = np.zeros(image.shape), np.zeros(self._steps + 1)
        for rows in pieces(len(places), self._batch):
            points = start + places[rows, None, None, None] * way
            _, found, slopes = self._slopes(points, np.full(len(points), target, np.int32))
            scores[rows] = found.numpy()
            total += np.tensordot(weights[rows], slopes.numpy(), axes=1)
        return total * way, float(scores[-1] - scores[0])

    def _start(self, image: np.ndarray) -> np.ndarray:
        if isinstance(self._baseline, str):
            return filled(image, self._baseline)
        if self._baseline.shape != image.shape:
            raise InputError(
                f"The baseline of {self.title.lower()} has the shape {self._baseline.shape}, but images have "
                f"{image.shape}. Give a picture of that shape, or one of: {', '.join(get_args(Fill))}."
            )
        return self._baseline.astype(np.float32)

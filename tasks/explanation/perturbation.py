"""Occlusion and RISE: how a class's score changes when parts of the image are taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.config import Fill, InputError
from tasks.explanation.fills import check_fill, filled
from tasks.explanation.image_method import BATCH, MAX_PASSES, ImageMethod, pieces
from tasks.explanation.scores import class_confidences, target_logit


class _Masking(ImageMethod):
    """A method that shows the network copies of an image, each with parts of it replaced."""

    def __init__(
        self,
        model: keras.Model,
        logits_layer: str,
        class_scores: np.ndarray | None,
        *,
        fill: Fill,
        batch: int,
        confidence: bool,
    ) -> None:
        super().__init__(model, logits_layer, class_scores)
        check_fill(fill, self.title, "fill")
        if batch < 1:
            raise InputError(f"{self.title} needs a `batch` of 1 or more, got {batch}.")
        self._fill: Fill = fill
        self._batch = batch
        self._scores = _compiled_scores(self._network, self.input_shape, class_scores, confidence=confidence)

    def _scores_of(self, image: np.ndarray, fill: np.ndarray, kept: np.ndarray, target: int) -> np.ndarray:
        """Give the target's score of each copy, of shape (m,), where `kept`, (m, h, w), says what stays of it."""
        return np.asarray(self._scores(image, fill, kept, np.int32(target)).numpy(), dtype=np.float64)


class Occlusion(_Masking):
    """How much the target's score falls when a square patch of the image is covered (Zeiler and Fergus, 2014, 4.2).

    A pixel's value is the mean fall over the patches that cover it, of the logit (or of the target's column of
    `logits @ class_scores`), so that it does not vanish where the model is sure. Negative values: covering the place
    makes the target likelier. Patches begin at every `stride` pixels, and one more ends at the edge.

    Parameters
    ----------
    model, logits_layer, class_scores
        As in `ImageMethod`, and so are the errors.
    cam_layer : None
        Not used; all methods are built alike.
    patch : int
        Height and width of a patch in pixels of the image that the model takes.
    stride : int
        Pixels from a patch to the next, 1 to `patch`.
    fill : {"mean", "blur", "black", "white"}
        What is shown instead (`tasks.explanation.fills.filled`).
    batch : int
        Copies that go through the network at once.
    max_passes : int
        Forward passes that an image may take.

    Raises
    ------
    InputError
        If a setting is out of its range, a patch is larger than the image, or there are more patches than allowed.
    """

    title = "Occlusion"
    passes = "1 forward, then 1 forward a patch"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | None = None,  # noqa: ARG002 — all methods are built alike
        *,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
        patch: int = 32,
        stride: int = 16,
        fill: Fill = "mean",
        batch: int = BATCH,
        max_passes: int = MAX_PASSES,
    ) -> None:
        super().__init__(model, logits_layer, class_scores, fill=fill, batch=batch, confidence=False)
        if not 1 <= stride <= patch:
            raise InputError(
                f"{self.title} needs a `stride` from 1 to the `patch`, so that every pixel is covered, got a patch of "
                f"{patch} and a stride of {stride} pixels."
            )
        self._patch, self._stride, self._max_passes = patch, stride, max_passes
        height, width, _ = self.input_shape
        if height and width:
            self.n_passes = 1 + len(self._corners(height, width))

    def _map(self, image: np.ndarray, target: int, score: float) -> np.ndarray:
        fill, corners = filled(image, self._fill), self._corners(*image.shape[:2])
        falls, covers = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
        for rows in pieces(len(corners), self._batch):
            kept = np.ones((rows.stop - rows.start, *image.shape[:2]), np.float32)
            parts = [np.s_[top : top + self._patch, left : left + self._patch] for top, left in corners[rows]]
            for copy, covered in zip(kept, parts, strict=True):
                copy[covered] = 0
            for covered, hidden in zip(parts, self._scores_of(image, fill, kept, target), strict=True):
                falls[covered] += score - hidden
                covers[covered] += 1
        return falls / covers

    def _corners(self, height: int, width: int) -> list[tuple[int, int]]:
        if self._patch > min(height, width):
            raise InputError(
                f"{self.title} cannot cover images of {height} × {width} pixels by patches of {self._patch}. "
                "Set a smaller `patch`."
            )
        tops, lefts = (self._begins(side) for side in (height, width))
        self._bound(1 + len(tops) * len(lefts), self._max_passes, "Set a larger `stride`")
        return [(top, left) for top in tops for left in lefts]

    def _begins(self, side: int) -> list[int]:
        last = side - self._patch
        begins = list(range(0, last + 1, self._stride))
        return begins if begins[-1] == last else [*begins, last]


class Rise(_Masking):
    """The mean of random masks, each weighted by the target's probability under it (Petsiuk et al., 2018, eq. 6).

    A mask is a grid of `cells` × `cells` that are each kept with a probability of `share`, enlarged bilinearly
    (half-pixel centres) to one cell more than the image and cut out at a random place (section 3.2). What weighs is
    the probability, as published: the model's own, or with `class_scores` what
    `tasks.explanation.scores.class_confidences` gives. All values are 0 or more; only differences within a map mean
    something. All images see the same masks, and the same seed gives the same masks to the bit.

    Parameters
    ----------
    model, logits_layer, class_scores
        As in `ImageMethod`, and so are the errors.
    cam_layer : None
        Not used; all methods are built alike.
    n_masks : int
        1 or more. Petsiuk et al. took 4000 to 8000.
    cells : int
        Cells along each side of the grid, 2 or more.
    share : float
        Probability that a cell is kept, above 0 and below 1.
    fill : {"mean", "blur", "black", "white"}
        What is shown instead (`tasks.explanation.fills.filled`).
    seed : int
        Of the masks.
    batch : int
        Copies that go through the network at once; only so many masks are held at full size.
    max_passes : int
        Forward passes that an image may take.

    Raises
    ------
    InputError
        If a setting is out of its range, or there are more masks than allowed.
    """

    title = "RISE"
    passes = "1 forward, then 1 forward a mask"

    def __init__(
        self,
        model: keras.Model,
        cam_layer: str | None = None,  # noqa: ARG002 — all methods are built alike
        *,
        logits_layer: str = "logits",
        class_scores: np.ndarray | None = None,
        n_masks: int = 1000,
        cells: int = 8,
        share: float = 0.5,
        fill: Fill = "mean",
        seed: int = 0,
        batch: int = BATCH,
        max_passes: int = MAX_PASSES,
    ) -> None:
        super().__init__(model, logits_layer, class_scores, fill=fill, batch=batch, confidence=True)
        if n_masks < 1 or cells < 2 or not 0 < share < 1:
            raise InputError(
                f"{self.title} needs `n_masks` of 1 or more, `cells` of 2 or more and a `share` between 0 and 1, got "
                f"{n_masks}, {cells} and {share}."
            )
        self.n_passes = 1 + n_masks
        self._bound(self.n_passes, max_passes, "Take fewer `n_masks`")
        draws = np.random.default_rng(seed)
        self._grids = (draws.random((n_masks, cells, cells)) < share).astype(np.float32)
        self._places = draws.random((n_masks, 2))
        self._share = share

    def masks(self, rows: slice, height: int, width: int) -> np.ndarray:
        """Give some of the masks at the size of an image.

        Parameters
        ----------
        rows : slice
            Which of them.
        height, width : int
            The image's size in pixels.

        Returns
        -------
        ndarray of shape (n_rows, height, width), float32, 0 to 1
            How much of each pixel stays.
        """
        cells = self._grids.shape[1]
        down, across = (
            _enlarging(cells, side, place) for side, place in zip((height, width), self._places[rows].T, strict=True)
        )
        masks: np.ndarray = down @ self._grids[rows] @ across.transpose(0, 2, 1)
        return masks

    def _map(self, image: np.ndarray, target: int, score: float) -> np.ndarray:  # noqa: ARG002 — only falls need it
        fill, total = filled(image, self._fill), np.zeros(image.shape[:2])
        for rows in pieces(len(self._grids), self._batch):
            kept = self.masks(rows, *image.shape[:2])
            total += np.tensordot(self._scores_of(image, fill, kept, target), kept, axes=1)
        return total / (len(self._grids) * self._share)


def _enlarging(cells: int, side: int, places: np.ndarray) -> np.ndarray:
    """Give the matrices, (n, side, cells), that interpolate a row of cells and cut `side` pixels out at these places.

    The row is enlarged to (cells + 1) whole cells; a place, 0 to 1, is where the cut begins within the first of them.
    """
    pixels = -(-side // cells)
    centres = (np.arange((cells + 1) * pixels) + 0.5) / ((cells + 1) * pixels) * cells - 0.5
    nearness = 1 - np.abs(centres.clip(0, cells - 1)[:, None] - np.arange(cells))
    begins = np.floor(places * pixels).astype(int)
    whole = np.maximum(nearness, 0).astype(np.float32)
    cut: np.ndarray = whole[begins[:, None] + np.arange(side)]
    return cut


def _compiled_scores(
    network: keras.Model, input_shape: tuple[int | None, ...], class_scores: np.ndarray | None, *, confidence: bool
) -> Callable[..., Any]:
    """Compile `(image, fill, kept, target) -> scores`: of the image where `kept` is 1, of the fill where it is 0."""

    def scores(image: tf.Tensor, fill: tf.Tensor, kept: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        stays = kept[..., None]
        logits, outputs = network(stays * image + (1 - stays) * fill, training=False)
        if confidence:
            found = class_confidences(logits, outputs, class_scores)[:, target]
        else:
            found = target_logit(logits, tf.fill(tf.shape(kept)[:1], target), class_scores)
        return tf.cast(found, tf.float32)

    picture = tf.TensorSpec(input_shape, tf.float32)
    signature = [picture, picture, tf.TensorSpec((None, *input_shape[:2]), tf.float32), tf.TensorSpec((), tf.int32)]
    compiled: Callable[..., Any] = tf.function(scores, input_signature=signature, autograph=False)
    return compiled

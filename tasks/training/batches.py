"""Training batches: shuffled and augmented by seed, one image's treatment independent of all others."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tasks.config import Augmentation
from tasks.training.augment import augment
from tasks.training.variants import Variants

Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""Inputs, classes (or grades, or labels as 0 and 1), weights."""


def training_stream(
    inputs: np.ndarray,
    y: np.ndarray,
    sample_weight: np.ndarray,
    rows: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    variants: Variants | None = None,
    first: int = 0,
) -> tuple[Iterator[Batch], int]:
    """Give an iterator over the batches of all epochs, and the number of batches an epoch.

    The order of an epoch and the changes to an image follow from `seed`, the epoch and the image alone, so that
    nothing depends on how often or how fast batches are drawn.

    Parameters
    ----------
    inputs : ndarray of shape (n_images, ...)
        Images (uint8, RGB) or activations (float32); may be memory-mapped, only a batch is read at a time.
    y : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1
        Class or grade of each image, or which labels it has.
    sample_weight : ndarray of shape (n_images,) or (n_images, n_classes), float
        Weight of each image in the loss, or of each of its labels.
    rows : ndarray of shape (n_rows,), int
        The rows to train on.
    epochs, batch_size : int
        Number of epochs; images a batch (the last of an epoch may be smaller).
    augmentation : Augmentation
        Random changes, for images only.
    seed : int
        Where all randomness comes from, but for that of fixed variants.
    variants : Variants, optional
        Each image is taken in one of these, from their activations where they are kept; by default images are
        changed anew in every epoch.
    first : int
        The epoch to begin with, from 0.
    """
    chosen = _chosen_rows(rows, range(first, epochs), batch_size, seed, variants)
    steps = math.ceil(len(rows) / batch_size)
    kept = variants if variants is not None and variants.kept else None
    if augmentation.active and kept is None:
        changes = seed if variants is None else variants.seed
        return iter(
            _augmented(inputs, y, sample_weight, ((epochs - first) * steps, chosen), augmentation, changes)
        ), steps
    return (
        (
            tf.constant(np.asarray(inputs[batch], np.float32) if kept is None else kept.read(batch, turns)),
            tf.constant(y[batch], tf.int64),
            tf.constant(sample_weight[batch], tf.float32),
        )
        for turns, batch in chosen
    ), steps


def epoch_order(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Give the rows in the order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def _chosen_rows(
    rows: np.ndarray, epochs: range, batch_size: int, seed: int, variants: Variants | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give for each batch which changes its images get, by epoch or by variant, and its rows."""
    for epoch in epochs:
        order = epoch_order(rows, seed, epoch)
        turns = np.full(len(order), epoch) if variants is None else variants.turns(order, seed, epoch)
        for start in range(0, len(order), batch_size):
            yield turns[start : start + batch_size], order[start : start + batch_size]


def _augmented(
    inputs: np.ndarray,
    y: np.ndarray,
    sample_weight: np.ndarray,
    chosen: tuple[int, Iterator[tuple[np.ndarray, np.ndarray]]],
    augmentation: Augmentation,
    seed: int,
) -> tf.data.Dataset:
    n_batches, rows_of_batches = chosen
    shape = (None, *inputs.shape[1:])
    signature = (tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.int64))
    batches = tf.data.Dataset.from_generator(lambda: rows_of_batches, output_signature=signature)

    def read(turns: tf.Tensor, batch: tf.Tensor) -> Batch:
        x = tf.numpy_function(lambda r: np.asarray(inputs[r], np.float32), [batch], tf.float32, stateful=False)
        x = augment(tf.ensure_shape(x, shape), batch, turns, augmentation, seed)
        return x, tf.gather(tf.constant(y, tf.int64), batch), tf.gather(tf.constant(sample_weight, tf.float32), batch)

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    stream = batches.apply(tf.data.experimental.assert_cardinality(n_batches)).map(read).prefetch(2)
    return stream.with_options(options)

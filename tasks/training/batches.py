"""Training batches: one stateless stream over all epochs, shuffled and augmented by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tasks.config import Augmentation
from tasks.training.augment import augment


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
) -> tuple[Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]], int]:
    """Give an iterator over the batches of all epochs, and the number of batches an epoch.

    The order of an epoch and the changes to an image follow from `seed`, the epoch and the image alone, so that
    nothing depends on how often or how fast batches are drawn.

    Parameters
    ----------
    inputs : ndarray of shape (n_images, ...)
        Images (uint8, RGB) or activations (float32); may be memory-mapped, only a batch is read at a time.
    y : ndarray of shape (n_images,), int
        Class of each image.
    sample_weight : ndarray of shape (n_images,), float
        Weight of each image in the loss.
    rows : ndarray of shape (n_rows,), int
        The rows to train on.
    epochs, batch_size : int
        Number of epochs; images a batch (the last of an epoch may be smaller).
    augmentation : Augmentation
        Random changes, for images only.
    seed : int
        Where all randomness comes from.
    """
    shape = (None, *inputs.shape[1:])

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        start = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.constant(rows, tf.int64), seed=start)
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(lambda chosen: (chosen, epoch))

    def read(chosen: tf.Tensor, epoch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        x = tf.numpy_function(lambda r: np.asarray(inputs[r], np.float32), [chosen], tf.float32, stateful=False)
        x = tf.ensure_shape(x, shape)
        if augmentation.active:
            x = augment(x, chosen, epoch, augmentation, seed)
        return x, tf.gather(tf.constant(y, tf.int64), chosen), tf.gather(tf.constant(sample_weight, tf.float32), chosen)

    stream = tf.data.Dataset.range(epochs).flat_map(epoch_batches).map(read).prefetch(2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    return iter(stream.with_options(options)), math.ceil(len(rows) / batch_size)

"""Random changes to training images, each image's own, as one affine map and a change of brightness."""

from __future__ import annotations

import math

import tensorflow as tf

from tasks.config import Augmentation


def augment(images: tf.Tensor, rows: tf.Tensor, turn: tf.Tensor, how: Augmentation, seed: int) -> tf.Tensor:
    """Give randomly changed copies of a batch of images.

    Parameters
    ----------
    images : tensor of shape (n, height, width, 3), float32, 0 to 255
        The batch.
    rows : tensor of shape (n,), int64
        The images' row numbers: an image's changes depend on (seed, turn, row) only.
    turn : tensor, int64
        Which changes each image gets, such as the epoch: one number for all, or one an image.
    how : Augmentation
        Largest changes.
    seed : int
        Where the randomness comes from.

    Returns
    -------
    tensor of shape (n, height, width, 3), float32, 0 to 255
        What is moved in from outside repeats the picture's edge.
    """
    start = tf.broadcast_to(tf.constant(seed, tf.int64) + turn * 1_000_003, tf.shape(rows))
    draws = tf.map_fn(
        lambda own: tf.random.stateless_uniform((8,), seed=own, minval=-1.0),
        tf.stack([start, rows], axis=1),
        fn_output_signature=tf.float32,
    )
    size = tf.cast(tf.shape(images)[1:3], tf.float32)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=_inverse_maps(draws, size, how),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    brighter = moved + draws[:, 6, None, None, None] * how.brightness * 255.0
    return tf.ensure_shape(tf.clip_by_value(brighter, 0.0, 255.0), images.shape)


def _inverse_maps(draws: tf.Tensor, size: tf.Tensor, how: Augmentation) -> tf.Tensor:
    """Give the maps from output to input pixels, about the centre, in the order ImageProjectiveTransform wants.

    They are computed in float64, so that rounded they do not depend on an image's place in its batch.
    """
    draws, size = tf.cast(draws, tf.float64), tf.cast(size, tf.float64)
    height, width = size[0], size[1]
    angle = draws[:, 0] * how.rotation * math.pi / 180.0
    scale = 1.0 + draws[:, 1] * how.zoom
    one = tf.ones_like(angle)
    flip_x = tf.where((draws[:, 2] > 0) & how.horizontal_flip, -one, one)
    flip_y = tf.where((draws[:, 3] > 0) & how.vertical_flip, -one, one)
    a, b = tf.cos(angle) / scale * flip_x, -tf.sin(angle) / scale * flip_y
    d, e = tf.sin(angle) / scale * flip_x, tf.cos(angle) / scale * flip_y
    centre_x, centre_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    c = centre_x - a * centre_x - b * centre_y + draws[:, 4] * how.shift * width
    f = centre_y - d * centre_x - e * centre_y + draws[:, 5] * how.shift * height
    zero = tf.zeros_like(a)
    return tf.cast(tf.stack([a, b, c, d, e, f, zero, zero], axis=1), tf.float32)

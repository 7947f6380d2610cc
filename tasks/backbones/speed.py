"""How fast a network predicts, by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

WINDOW = 1.0
"""Seconds over which calls of one batch size are repeated; the fastest call counts."""

LEAST_CALLS = 2
"""How often a call is timed at least, however long it takes."""


def images_per_second(model: Any, batch_sizes: Sequence[int], window: float = WINDOW) -> dict[int, float]:
    """Give the images a second that a model predicts, from pixels to probabilities, by batch size.

    The model runs as one compiled graph, on random pixels: what they show does not bear on the time. Of all calls in
    the window the fastest counts, since other work on the machine can only make a call slower.

    Parameters
    ----------
    model : keras.Model
        Takes images of shape (n, height, width, 3), 0 to 255.
    batch_sizes : sequence of int
        Images a call, each 1 or more.
    window : float
        In seconds; there are `LEAST_CALLS` in any case.
    """
    shape = tuple(model.inputs[0].shape[1:])
    pixels = tf.TensorSpec((None, *shape), tf.uint8)
    predict = tf.function(lambda images: model(tf.cast(images, tf.float32), training=False), input_signature=[pixels])
    images = np.random.default_rng(0).integers(0, 256, (max(batch_sizes), *shape), dtype=np.uint8)
    predict(images[:1])  # compiles
    return {size: size / _fastest(partial(_predictions, predict, images[:size]), window) for size in batch_sizes}


def device_name() -> str:
    """Name the device that models run on: the first GPU that TensorFlow sees, else `CPU`."""
    return next(iter(gpu_names()), "CPU")


def gpu_names() -> list[str]:
    """Name the GPUs that TensorFlow sees."""
    seen = tf.config.list_physical_devices("GPU")
    return [str(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")) for gpu in seen]


def _predictions(predict: Callable[[np.ndarray], Any], images: np.ndarray) -> np.ndarray:
    return np.asarray(predict(images))  # on a GPU, waits until they are there


def _fastest(call: Callable[[], object], window: float) -> float:
    """Give the seconds of the fastest call."""
    fastest, calls, end = math.inf, 0, time.perf_counter() + window
    while calls < LEAST_CALLS or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        fastest, calls = min(fastest, time.perf_counter() - started), calls + 1
    return fastest

"""TensorFlow's settings for one worker process: threads, determinism, memory, seeds."""

from __future__ import annotations

import functools
import hashlib

import keras
import tensorflow as tf


@functools.cache
def configure(threads: int, deterministic: bool) -> None:
    """Set up TensorFlow for this process; the first call in a process must come before any computation.

    Parameters
    ----------
    threads : int
        Threads inside one operation. Operations follow one another, so that results do not depend on timing.
    deterministic : bool
        Use only algorithms whose results repeat to the last bit.

    Raises
    ------
    RuntimeError
        TensorFlow has computed already in this process and its threads can no longer change.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def start_backbone(seed: int, mixed_precision: bool) -> None:
    """Give a backbone the state of a fresh process: no names, graphs or random states of an earlier one."""
    keras.backend.clear_session()
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed_precision else "float32")
    keras.utils.set_random_seed(seed)


def derived_seed(seed: int, *parts: object) -> int:
    """Give the seed that `parts` (a backbone, a fold) get from the experiment's own, as a 31-bit integer."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1

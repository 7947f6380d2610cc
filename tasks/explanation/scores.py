"""What speaks for a class in a model's logits, and the checks of inputs and targets that all methods share."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tasks.config import InputError

PREDICTED = -1
"""Stands for the class with the largest logit where a target is wanted."""


def count_classes(n_outputs: int, class_scores: np.ndarray | None) -> int:
    """Give how many classes can be explained: one output has two, and a matrix as many as columns.

    Raises
    ------
    ValueError
        If the matrix does not have a row a logit.
    """
    if class_scores is None:
        return max(n_outputs, 2)
    if class_scores.ndim != 2 or len(class_scores) != n_outputs:
        raise ValueError(f"class_scores needs the shape ({n_outputs}, n_classes), got {class_scores.shape}")
    return int(class_scores.shape[1])


def class_logits(logits: tf.Tensor, class_scores: np.ndarray | None) -> tf.Tensor:
    """Give what speaks for each class, of shape (n, n_classes), in the precision of the logits.

    That is the column of `logits @ class_scores`, or without a matrix the class's own logit; a model with one output
    has the classes 0 and 1, and the logit of class 0 is the negative of its output's.
    """
    if class_scores is not None:
        return tf.matmul(logits, tf.constant(class_scores, logits.dtype))
    return tf.concat([-logits, logits], axis=-1) if logits.shape[-1] == 1 else logits


def chosen(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Give the targets, of shape (n,), int32, with the class of the largest of `class_logits` for `PREDICTED`."""
    return tf.where(targets < 0, tf.argmax(logits, axis=-1, output_type=tf.int32), targets)


def target_logit(logits: tf.Tensor, targets: tf.Tensor, class_scores: np.ndarray | None) -> tf.Tensor:
    """Give what speaks for each image's target, of shape (n,): the score that is differentiated."""
    logits = class_logits(logits, class_scores)
    return tf.gather(logits, chosen(logits, targets), batch_dims=1)


def class_confidences(logits: tf.Tensor, outputs: tf.Tensor, class_scores: np.ndarray | None) -> tf.Tensor:
    """Give how sure the model is of each class, of shape (n, n_classes), 0 to 1.

    A class that has an output of its own has the probability that the model gives; one that is scored from several
    logits, or against one, has the sigmoid of its score: for two outputs of a softmax that is the one's share of both.

    Parameters
    ----------
    logits, outputs : Tensor of shape (n, n_outputs)
        Before and behind the activation.
    class_scores : ndarray of shape (n_outputs, n_classes) or None
        As in `class_logits`.
    """
    if class_scores is None:
        return tf.concat([1 - outputs, outputs], axis=-1) if outputs.shape[-1] == 1 else outputs
    own = (np.count_nonzero(class_scores, axis=0) == 1) & (class_scores.sum(axis=0) == 1)
    likely = tf.matmul(outputs, tf.constant(class_scores, outputs.dtype))
    return tf.where(own, likely, tf.cast(tf.sigmoid(class_logits(logits, class_scores)), outputs.dtype))


def checked_inputs(inputs: np.ndarray, shape: tuple[int | None, ...], method: str) -> np.ndarray:
    """Give the inputs as float32.

    Raises
    ------
    InputError
        If there is none, or they have another shape than (n, *shape).
    """
    inputs = np.asarray(inputs, dtype=np.float32)
    fits = inputs.ndim == len(shape) + 1 and all(
        wanted in (None, given) for wanted, given in zip(shape, inputs.shape[1:], strict=True)
    )
    if not fits or not len(inputs):
        wanted = ", ".join(map(str, shape))
        raise InputError(f"{method} takes one or more inputs of shape (n, {wanted}), got {inputs.shape}.")
    return inputs


def checked_targets(
    targets: np.ndarray | None, n: int, n_classes: int, method: str, *, must_be_given: bool
) -> np.ndarray:
    """Give the targets as int32, of shape (n,), with `PREDICTED` for each where there are none.

    Raises
    ------
    InputError
        If a target is not a class, or there is not one for each of the n images.
    ValueError
        If there are none although they must be given.
    """
    if targets is None:
        if must_be_given:
            raise ValueError("with class_scores the class that each map is for must be given")
        return np.full(n, PREDICTED, dtype=np.int32)
    wanted = np.asarray(targets)
    whole = np.issubdtype(wanted.dtype, np.integer) and wanted.shape == (n,)
    if not whole or (n and (wanted.min() < 0 or wanted.max() >= n_classes)):
        raise InputError(f"{method} takes one target an image, a whole number from 0 to {n_classes - 1}.")
    return wanted.astype(np.int32)

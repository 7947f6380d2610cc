"""What a fit makes small for each kind of labels, and how much an image counts in it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tasks.config import Kind


def target_signature(kind: Kind, n_outputs: int) -> tf.TensorSpec:
    """Give shape and type of the targets of a batch, as `outputs.encode` makes them."""
    return tf.TensorSpec((None,), tf.int64) if kind == "multiclass" else tf.TensorSpec((None, n_outputs), tf.float32)


def weight_signature(kind: Kind, n_outputs: int) -> tf.TensorSpec:
    """Give shape and type of the weights of a batch, as `sample_weights` makes them."""
    return tf.TensorSpec((None, n_outputs) if kind == "multilabel" else (None,), tf.float32)


def training_losses(targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor, kind: Kind) -> tf.Tensor:
    """Give the weighted loss of each image of a batch, of shape (n,), as `image_losses` does, to be differentiated."""
    if kind == "multiclass":
        return weight * tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    of_outputs = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    if kind == "multilabel":
        return tf.reduce_mean(weight * of_outputs, axis=1)
    return weight * tf.reduce_mean(of_outputs, axis=1)


def image_losses(targets: np.ndarray, logits: np.ndarray, kind: Kind) -> np.ndarray:
    """Compute the loss of each image, of shape (n,), 0 or more, in float64.

    One class an image: the cross-entropy of the softmax. Labels and grades: the binary cross-entropy of each output's
    sigmoid, averaged over the outputs, as Keras's `binary_crossentropy` does.

    Parameters
    ----------
    targets : ndarray of shape (n,), int, or (n, n_outputs), 0 or 1
        From `outputs.encode`.
    logits : ndarray of shape (n, n_outputs)
        What the model gives.
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    """
    from scipy.special import log_expit, log_softmax

    logits = logits.astype(np.float64)
    if kind == "multiclass":
        chosen: np.ndarray = log_softmax(logits, axis=1)[np.arange(len(targets)), targets]
        return -chosen
    of_outputs = log_expit(np.where(targets > 0.5, logits, -logits))
    return np.asarray(-of_outputs.mean(axis=1))


def sample_weights(y: np.ndarray, train: np.ndarray, class_weights: str) -> np.ndarray:
    """Give each image's weight in the loss, float32; 1 for those not trained on.

    `balanced` weighs an image by n / (n_classes · n of its class), or of its grade, after King and Zeng (2001). With
    several labels an image, having a label and lacking it are two classes for each label, which has weights of its own.

    Parameters
    ----------
    y : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1
        Classes or grades, or which labels an image has.
    train : ndarray of shape (n_train,), int
        The rows to train on; classes are counted in these alone.
    class_weights : {"none", "balanced"}
        The experiment file's `training.class_weights`.

    Returns
    -------
    ndarray of the shape of y
        A weight an image, or one an image and label.
    """
    weights = np.ones(y.shape, np.float32)
    if class_weights == "balanced":
        from sklearn.utils.class_weight import compute_sample_weight

        for of_label, weight in zip(np.atleast_2d(y.T), np.atleast_2d(weights.T), strict=True):
            weight[train] = compute_sample_weight("balanced", of_label[train])
    return weights

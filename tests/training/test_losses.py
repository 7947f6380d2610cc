from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from tasks.evaluation.outputs import activated, encode
from tasks.training.losses import image_losses, sample_weights, target_signature, training_losses, weight_signature

N, CLASSES = 40, 4
SIGMOID = ["multilabel", "ordinal"]
RNG = np.random.default_rng(2)
LABELS = {
    "multiclass": RNG.integers(0, CLASSES, N),
    "ordinal": RNG.integers(0, CLASSES, N),
    "multilabel": (RNG.random((N, CLASSES)) < [0.1, 0.3, 0.5, 0.8]).astype(np.int64),
}
LOGITS = RNG.normal(0, 3, (N, CLASSES)).astype(np.float32)


def keras_losses(kind):
    targets = encode(LABELS[kind], kind, CLASSES)
    if kind == "multiclass":
        return keras.losses.sparse_categorical_crossentropy(targets, LOGITS, from_logits=True).numpy()
    return keras.losses.binary_crossentropy(targets, LOGITS, from_logits=True).numpy()


@pytest.mark.parametrize("kind", LABELS)
def test_both_losses_are_those_of_keras(kind):
    targets = encode(LABELS[kind], kind, CLASSES)
    expected = keras_losses(kind)
    assert expected.shape == (N,)
    np.testing.assert_allclose(image_losses(targets, LOGITS, kind), expected, rtol=1e-6, atol=1e-6)
    ones = np.ones(LABELS[kind].shape, np.float32)
    np.testing.assert_allclose(training_losses(targets, LOGITS, ones, kind), expected, rtol=1e-6, atol=1e-6)
    assert target_signature(kind, CLASSES).is_compatible_with(tf.constant(targets))


def test_the_loss_of_a_grade_is_that_of_the_grades_reached_up_to_it():
    logits = np.array([[9.0, 2.0, -1.0, -3.0]])
    reached = 1 / (1 + np.exp(-logits[0]))
    by_hand = -np.log([reached[0], reached[1], 1 - reached[2], 1 - reached[3]]).mean()
    assert image_losses(encode(np.array([1]), "ordinal", 4), logits, "ordinal")[0] == pytest.approx(by_hand)


@pytest.mark.parametrize("kind", SIGMOID)
def test_a_network_that_is_sure_beyond_measure_has_a_loss_all_the_same(kind):
    targets = encode(LABELS[kind], kind, CLASSES)
    sure = np.where(targets > 0, 1e4, -1e4)
    np.testing.assert_array_equal(image_losses(targets, sure, kind), 0)
    np.testing.assert_allclose(image_losses(targets, -sure, kind), 1e4)
    assert np.isnan(image_losses(targets, sure * np.nan, kind)).all()


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(2, 6)), elements=st.floats(-200, 200, width=32)))
def test_probabilities_of_classes_are_scipys_to_the_last_bit(logits):
    assert activated(logits, "multiclass").tobytes() == softmax(logits.astype(np.float64), axis=1).tobytes()


@pytest.mark.parametrize("kind", ["multiclass", "ordinal"])
def test_balanced_weights_make_classes_and_grades_count_alike(kind):
    y = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    weights = sample_weights(y, np.arange(8), "balanced")
    assert weights.dtype == np.float32
    np.testing.assert_allclose(np.bincount(y, weights), 8 / 3, rtol=1e-6)
    np.testing.assert_array_equal(sample_weights(y, np.arange(8), "none"), 1)


def test_balanced_weights_of_labels_make_having_and_lacking_each_count_alike():
    y, train = LABELS["multilabel"], np.arange(3, N)
    weights = sample_weights(y, train, "balanced")
    assert weights.dtype == np.float32
    having, lacking = ((weights * (y == has))[train].sum(axis=0) for has in (1, 0))
    np.testing.assert_allclose(having, len(train) / 2, rtol=1e-5)
    np.testing.assert_allclose(lacking, len(train) / 2, rtol=1e-5)
    np.testing.assert_array_equal(weights[:3], 1)
    np.testing.assert_array_equal(sample_weights(y, train, "none"), np.ones((N, CLASSES)))


def test_a_label_that_no_training_image_has_weighs_as_if_nothing_were_balanced():
    y = np.array([[0, 1], [0, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(sample_weights(y, np.arange(3), "balanced")[:, 0], 1)


@pytest.mark.parametrize("kind", LABELS)
def test_weights_multiply_the_losses_that_they_are_for(kind):
    y, targets = LABELS[kind], encode(LABELS[kind], kind, CLASSES)
    weight = sample_weights(y, np.arange(N), "balanced")
    found = training_losses(targets, LOGITS, weight, kind)
    assert weight_signature(kind, CLASSES).is_compatible_with(tf.constant(weight))
    if kind == "multilabel":
        of_labels = np.logaddexp(0, np.where(targets == 1, -LOGITS, LOGITS))
        np.testing.assert_allclose(found, (weight * of_labels).mean(axis=1), rtol=1e-5)
    else:
        np.testing.assert_allclose(found, weight * keras_losses(kind), rtol=1e-5)


@pytest.mark.parametrize("kind", LABELS)
def test_weights_count_the_training_images_alone(kind):
    y, train = LABELS[kind].copy(), np.arange(0, N, 2)
    before = sample_weights(y, train, "balanced")[train]
    y[1::2] = 1
    np.testing.assert_array_equal(sample_weights(y, train, "balanced")[train], before)

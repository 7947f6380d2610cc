"""How sure a model is of a class, for every kind of outputs and scores."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tasks.evaluation.outputs import class_scores
from tasks.explanation.scores import class_confidences

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], np.float32)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)


def confidences(logits, outputs, scores=None):
    return class_confidences(tf.constant(logits), tf.constant(outputs), scores).numpy()


def test_a_class_with_an_output_of_its_own_has_its_probability():
    for outputs in (softmax(LOGITS), sigmoid(LOGITS)):
        np.testing.assert_array_equal(confidences(LOGITS, outputs), outputs)
        unit = np.eye(3, dtype=np.float32)[:, [2, 0]]
        np.testing.assert_allclose(confidences(LOGITS, outputs, unit), outputs[:, [2, 0]], rtol=1e-6)


def test_one_output_is_sure_of_either_class():
    outputs = sigmoid(LOGITS[:, :1])
    expected = np.concatenate([1 - outputs, outputs], axis=1)
    np.testing.assert_allclose(confidences(LOGITS[:, :1], outputs), expected, rtol=1e-6)
    either = np.array([[-1.0, 1.0]], np.float32)
    np.testing.assert_allclose(confidences(LOGITS[:, :1], outputs, either), expected, rtol=1e-5)


def test_grades_have_the_probability_of_reaching_them_and_the_lowest_that_of_not_reaching_the_second():
    outputs = sigmoid(LOGITS)
    expected = np.stack([1 - outputs[:, 1], outputs[:, 1], outputs[:, 2]], axis=1)
    np.testing.assert_allclose(confidences(LOGITS, outputs, class_scores("ordinal", 3)), expected, rtol=1e-5)


def test_a_difference_of_two_classes_is_the_share_of_the_one():
    outputs = softmax(LOGITS)
    found = confidences(LOGITS, outputs, np.array([[1.0], [0.0], [-1.0]], np.float32))
    np.testing.assert_allclose(found[:, 0], outputs[:, 0] / (outputs[:, 0] + outputs[:, 2]), rtol=1e-5)

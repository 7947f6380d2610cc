from __future__ import annotations

import numpy as np
import pytest

from tasks.evaluation.outputs import class_probabilities, explained_class
from tasks.explanation.predictions import predict_and_explain

ROWS = np.arange(3, 103)
EXPLAINED = ROWS[::2][:40]
OUTPUTS = np.random.default_rng(0).random((200, 3))


class Network:
    """Gives known outputs, and maps that hold the row and the class that was asked for."""

    def __init__(self):
        self.forwarded, self.mapped = [], []

    def forward(self, batch):
        self.forwarded += batch.tolist()
        return OUTPUTS[batch]

    def explain(self, batch, targets):
        self.mapped += batch.tolist()
        classes = np.full(len(batch), -1) if targets is None else targets
        return OUTPUTS[batch], np.stack([batch, classes], axis=1)[:, None].astype(np.float32)


def predicted_by(network, kind, explained=EXPLAINED, **more):
    return predict_and_explain(network.forward, network.explain, ROWS, explained, kind=kind, n_classes=3, **more)


def test_with_one_class_an_image_each_is_passed_once_and_rows_are_divided_by_their_sums():
    network = Network()
    found = predicted_by(network, "multiclass")
    assert network.mapped == EXPLAINED.tolist()
    assert sorted(network.mapped + network.forwarded) == ROWS.tolist()
    expected = OUTPUTS[ROWS] / OUTPUTS[ROWS].sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(found.probabilities, expected)
    np.testing.assert_array_equal(found.explained_classes, expected[found.places(EXPLAINED)].argmax(axis=1))
    np.testing.assert_array_equal(found.maps[:, 0], np.stack([EXPLAINED, np.full(40, -1)], axis=1))


@pytest.mark.parametrize("kind", ["multilabel", "ordinal"])
def test_else_maps_are_asked_for_the_class_that_the_probabilities_name(kind):
    network, thresholds = Network(), [0.6, 0.4, 0.5]
    found = predicted_by(network, kind, thresholds=thresholds)
    assert network.forwarded == ROWS.tolist()
    assert network.mapped == EXPLAINED.tolist()
    np.testing.assert_array_equal(found.probabilities, class_probabilities(OUTPUTS[ROWS], kind))
    wanted = explained_class(class_probabilities(OUTPUTS[EXPLAINED], kind), kind, thresholds)
    assert len(set(wanted.tolist())) == 3
    np.testing.assert_array_equal(found.explained_classes, wanted)
    np.testing.assert_array_equal(found.maps[:, 0], np.stack([EXPLAINED, wanted], axis=1))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_nothing_explained_and_nothing_at_all_are_fine(kind):
    found = predicted_by(Network(), kind, explained=ROWS[:0])
    assert found.maps.shape[0] == len(found.explained_classes) == 0
    np.testing.assert_array_equal(found.probabilities, class_probabilities(OUTPUTS[ROWS], kind))
    nothing = ROWS[:0]
    network = Network()
    empty = predict_and_explain(network.forward, network.explain, nothing, nothing, kind=kind, n_classes=3)
    assert empty.probabilities.shape == (0, 3)

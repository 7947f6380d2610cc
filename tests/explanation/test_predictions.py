from __future__ import annotations

import numpy as np
import pytest

from tasks.evaluation.outputs import class_probabilities
from tasks.explanation.predictions import predict_and_explain

ROWS = np.arange(3, 103)
EXPLAINED = ROWS[::2][:40]
OUTPUTS = np.random.default_rng(0).random((200, 3))


class Network:
    """Gives known outputs, and maps that hold the row."""

    def __init__(self):
        self.forwarded, self.mapped = [], []

    def forward(self, batch):
        self.forwarded += batch.tolist()
        return OUTPUTS[batch]

    def explain(self, batch):
        self.mapped += batch.tolist()
        return OUTPUTS[batch], batch[:, None, None].astype(np.float32)


def predicted_by(network, kind, explained=EXPLAINED):
    return predict_and_explain(network.forward, network.explain, ROWS, explained, kind=kind, n_classes=3)


def test_with_one_class_an_image_each_is_passed_once_and_rows_are_divided_by_their_sums():
    network = Network()
    found = predicted_by(network, "multiclass")
    assert network.mapped == EXPLAINED.tolist()
    assert sorted(network.mapped + network.forwarded) == ROWS.tolist()
    expected = OUTPUTS[ROWS] / OUTPUTS[ROWS].sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(found.probabilities, expected)
    np.testing.assert_array_equal(found.maps[:, 0, 0], EXPLAINED)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_nothing_explained_and_nothing_at_all_are_fine(kind):
    found = predicted_by(Network(), kind, explained=ROWS[:0])
    assert found.maps.shape[0] == len(found.explained) == 0
    np.testing.assert_array_equal(found.probabilities, class_probabilities(OUTPUTS[ROWS], kind))
    nothing = ROWS[:0]
    network = Network()
    empty = predict_and_explain(network.forward, network.explain, nothing, nothing, kind=kind, n_classes=3)
    assert empty.probabilities.shape == (0, 3)

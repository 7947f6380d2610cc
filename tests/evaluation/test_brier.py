from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from tasks.evaluation.brier import brier_by_class, brier_of_all, brier_parts
from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.metrics import score

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30)


def sum_of(parts):
    return parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins


def murphy(probability, happened):
    """The three parts as Murphy writes them: sums over the distinct forecasts."""
    n, overall = len(happened), happened.mean()
    reliability = resolution = 0.0
    for value in np.unique(probability):
        came = happened[probability == value]
        reliability += len(came) * (value - came.mean()) ** 2 / n
        resolution += len(came) * (came.mean() - overall) ** 2 / n
    return reliability, resolution, overall * (1 - overall)


def test_murphys_three_parts_are_those_of_his_formula_and_leave_no_rest():
    rng = np.random.default_rng(0)
    probability = rng.integers(0, 11, 500) / 10
    happened = rng.random(500) < probability**2
    parts = brier_parts(probability, happened, n_bins=None)
    assert parts[1:4] == pytest.approx(murphy(probability, happened))
    assert parts.within_bins == pytest.approx(0, abs=1e-15)
    assert parts.brier == pytest.approx(brier_score_loss(happened, probability))
    assert parts.brier == pytest.approx(parts.reliability - parts.resolution + parts.uncertainty, abs=1e-12)


@settings(max_examples=300, deadline=None)
@given(PAIRS, st.sampled_from([None, 1, 2, 15]), st.sampled_from(["mass", "width"]))
def test_the_parts_always_make_up_the_score(pairs, n_bins, by):
    probability, happened = np.array([p for p, _ in pairs]), np.array([h for _, h in pairs])
    parts = brier_parts(probability, happened, n_bins, by)
    assert sum_of(parts) == pytest.approx(parts.brier, abs=1e-12)
    assert min(parts[:4]) >= 0
    assert parts.resolution <= parts.uncertainty + 1e-12


def test_the_extremes_are_known():
    happened = np.arange(10) < 4
    assert brier_parts(happened.astype(float), happened) == pytest.approx((0, 0, 0.24, 0.24, 0))
    assert brier_parts(np.full(10, 0.4), happened) == pytest.approx((0.24, 0, 0, 0.24, 0))
    assert brier_parts(np.full(10, 0.9), np.zeros(10, bool)) == pytest.approx((0.81, 0.81, 0, 0, 0))
    with pytest.raises(ValueError, match="at least one"):
        brier_parts(np.zeros(0), np.zeros(0, bool))


@pytest.mark.parametrize(
    ("kind", "n_classes"), [("multiclass", 2), ("multiclass", 4), ("ordinal", 3), ("multilabel", 3)]
)
def test_the_parts_of_all_classes_make_up_the_metric_brier(kind, n_classes):
    rng = np.random.default_rng(2)
    y_prob = rng.dirichlet(np.ones(n_classes), 90)
    several = kind == "multilabel"
    y_true = (rng.random(y_prob.shape) < 0.3).astype(int) if several else rng.integers(n_classes, size=90)
    predictions, names = checked_predictions(y_true, y_prob, n_classes, kind), "abcd"[:n_classes]
    whole = brier_of_all(predictions, kind)
    assert whole.brier == pytest.approx(score(y_true, y_prob, names, kind=kind)["brier"])
    assert sum_of(whole) == pytest.approx(whole.brier, abs=1e-12)
    by_class = brier_by_class(predictions, names)
    assert list(by_class) == list(names)
    assert by_class["b"].brier == pytest.approx(
        np.square(y_prob[:, 1] - (y_true[:, 1] if several else y_true == 1)).mean()
    )


def test_a_class_without_an_image_has_neither_uncertainty_nor_resolution():
    predictions = checked_predictions(np.array([0, 1]), np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]]), 3)
    assert brier_by_class(predictions, "abc")["c"] == pytest.approx((0.01, 0.01, 0, 0, 0))

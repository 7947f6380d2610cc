"""Metrics under weights, against the metrics of the same images written out as often as they weigh."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from tasks.comparison.statistics.permutation import both_models
from tasks.comparison.statistics.units import batches
from tasks.comparison.statistics.weighted import RowMetric, weighted_metric
from tasks.config import InputError
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions, checked_predictions
from tasks.evaluation.metrics import metric_key, metrics_of, score
from tasks.evaluation.outputs import class_probabilities

N, N_UNITS, N_DRAWS = 60, 12, 25
TARGETS = {
    "two classes": Targets(("no", "yes")),
    "classes": Targets(("cat", "a dog/wolf", "owl")),
    "grades": Targets(("0", "1", "2", "3"), "ordinal"),
    "labels": Targets(("rust", "scab", "spot"), "multilabel"),
}


def predictions(targets, seed=0):
    """Predictions in sixteenths, so that rows sum to 1 exactly: with ties, certainties, and a class that is rare."""
    rng, n_classes = np.random.default_rng(seed), len(targets.classes)
    outputs = rng.integers(0, 17, (N, n_classes)) / 16
    if targets.kind == "multiclass":
        outputs = rng.multinomial(16, np.full(n_classes, 1 / n_classes), N) / 16
    outputs[:4] = np.eye(n_classes)[np.arange(4) % n_classes]
    if targets.kind == "multilabel":
        y = (rng.random((N, n_classes)) < [0.5, 0.3, 0.03]).astype(np.int64)
    else:
        y = rng.choice(n_classes, N, p=np.append(np.full(n_classes - 1, 0.97 / (n_classes - 1)), 0.03))
        y[7] = n_classes - 1
    return checked_predictions(y, class_probabilities(outputs, targets.kind), n_classes, targets.kind)


def every_metric(targets):
    of_one = ("f1", "precision", "recall", "roc_auc") if len(targets.classes) > 2 else ("f1", "precision", "recall")
    return [*metrics_of(targets.kind), *(f"{name}/{metric_key(label)}" for label in targets.classes for name in of_one)]


@pytest.fixture(params=list(TARGETS))
def targets(request):
    return TARGETS[request.param]


def draws(seed=1):
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(N_UNITS, np.full(N_UNITS, 1 / N_UNITS), size=N_DRAWS).astype(float)
    weights[0], weights[1], weights[2] = 1, np.eye(N_UNITS)[3], np.eye(N_UNITS)[5] * 2
    return weights


def written_out(given, units, weights, targets):
    rows = np.repeat(np.arange(N), weights[units].astype(int))
    own = Predictions(*(part[rows] for part in given))
    return score(own.y_true, own.y_prob, targets.classes, kind=targets.kind, y_pred=own.y_pred)


def test_every_metric_under_weights_is_that_of_the_images_written_out(targets):
    given, units, weights = predictions(targets), np.random.default_rng(2).permutation(np.arange(N) % N_UNITS), draws()
    expected = [written_out(given, units, own, targets) for own in weights]
    n_undefined = 0
    for metric in every_metric(targets):
        found = weighted_metric(metric, given, units, targets)(weights)
        wanted = np.array([own.get(metric, np.nan) for own in expected])
        np.testing.assert_allclose(found, wanted, atol=1e-12, err_msg=metric)
        n_undefined += np.isnan(wanted).sum()
    assert n_undefined > 0


def test_swapped_groups_give_the_metrics_of_the_swapped_predictions(targets):
    first, second = predictions(targets), predictions(targets, 5)._replace(y_true=predictions(targets).y_true)
    groups = np.random.default_rng(2).permutation(np.arange(N) % N_UNITS)
    both, units = both_models(first, second, groups)
    kept = np.random.default_rng(3).integers(0, 2, (N_DRAWS, N_UNITS)).astype(float)
    mixed = []
    for own in kept[:, groups] == 1:
        parts = [np.where(own.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(first, second, strict=True)]
        mixed.append(score(parts[0], parts[1], targets.classes, kind=targets.kind, y_pred=parts[2]))
    for metric in every_metric(targets):
        found = weighted_metric(metric, both, units, targets)(np.hstack([kept, 1 - kept]))
        wanted = [own.get(metric, np.nan) for own in mixed]
        np.testing.assert_allclose(found, wanted, atol=1e-12, err_msg=metric)


def test_a_metric_of_ones_own_is_computed_on_the_drawn_images():
    targets = TARGETS["classes"]
    given, units = predictions(targets), np.arange(N) % N_UNITS
    own = RowMetric("mine", lambda true, _, pred: balanced_accuracy_score(true, pred))
    weights = np.random.default_rng(0).integers(1, 4, (5, N_UNITS)).astype(float)
    found = weighted_metric(own, given, units, targets)(weights)
    expected = weighted_metric("balanced_accuracy", given, units, targets)(weights)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("metric", "kind", "fault", "says"),
    [
        ("acuracy", "classes", InputError, "Did you mean `accuracy`"),
        ("accuracy/cat", "classes", InputError, "There is no metric"),
        ("quadratic_kappa", "classes", ValueError, "multiclass labels have no `quadratic_kappa`"),
        ("accuracy", "labels", ValueError, "multilabel labels have no `accuracy`"),
        ("f1/fox", "classes", ValueError, "of no class: the classes are cat"),
    ],
)
def test_a_metric_that_there_is_not_is_refused(metric, kind, fault, says):
    given = predictions(TARGETS[kind])
    with pytest.raises(fault, match=says):
        weighted_metric(metric, given, np.zeros(N, np.int64), TARGETS[kind])


@pytest.mark.parametrize(("n_draws", "n_rows"), [(1, 1), (10, 3_000_000), (10_000, 1_600), (7, 0)])
def test_batches_hold_every_draw_once(n_draws, n_rows):
    found = [number for part in batches(n_draws, n_rows) for number in range(part.start, part.stop)]
    assert found == list(range(n_draws))

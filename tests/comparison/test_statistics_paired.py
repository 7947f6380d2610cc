"""Models compared two by two, from tables of predictions to letters."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.statistics.letters import compact_letters
from tasks.comparison.statistics.multiple import holm
from tasks.comparison.statistics.paired import LEAST_GROUPS, Comparison, compare_models
from tasks.comparison.statistics.pairing import PairedPredictions, pair_predictions
from tasks.comparison.statistics.power import more_groups
from tasks.comparison.statistics.weighted import RowMetric
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.metrics import score
from tasks.evaluation.tables import predictions_table

TARGETS = Targets(("cat", "dog", "owl"))
METRICS = ("accuracy", "balanced_accuracy", "roc_auc", "log_loss")


def paired(n_groups, each=6, shifts=(2.0, 0.5, 0.5), seed=0):
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(n_groups), each)
    y = rng.integers(0, 3, len(groups))
    models = {}
    for name, shift in zip("abc", shifts, strict=False):
        logits = rng.normal(size=(len(y), 3)) + rng.normal(size=n_groups)[groups, None] * np.eye(3)[y]
        logits[np.arange(len(y)), y] += shift
        outputs = np.exp(logits)
        models[name] = checked_predictions(y, outputs / outputs.sum(axis=1, keepdims=True), 3)
    return PairedPredictions(models, groups, TARGETS)


@pytest.fixture(scope="module")
def compared():
    return compare_models(paired(30), METRICS, n_draws=2000)


def test_scores_and_differences_are_those_of_the_metrics(compared):
    given = paired(30)
    expected = {
        name: score(own.y_true, own.y_prob, TARGETS.classes, y_pred=own.y_pred) for name, own in given.models.items()
    }
    assert len(compared.scores) == 4 * 3
    for own in compared.scores:
        assert own.value == pytest.approx(expected[own.model][own.metric])
        assert own.low < own.value < own.high
    assert [(own.first, own.second) for own in compared.differences[:3]] == [("a", "b"), ("a", "c"), ("b", "c")]
    for own in compared.differences:
        assert own.difference == pytest.approx(expected[own.first][own.metric] - expected[own.second][own.metric])
        assert own.low < own.difference < own.high
    assert (compared.n_images, compared.n_groups, compared.caution) == (180, 30, None)


def test_the_better_model_is_found_whichever_way_the_metric_runs(compared):
    for own in compared.differences:
        better = {"b": None, "a": "a"}[own.first]
        assert own.better() == better, own
        assert own.p <= own.p_holm
        assert own.higher_is_better == (own.metric != "log_loss")
    assert compared.told_apart("log_loss") == {frozenset("ab"), frozenset("ac")}
    assert compact_letters("abc", compared.told_apart("roc_auc")) == {"a": "a", "b": "b", "c": "b"}


def test_p_values_are_adjusted_for_all_pairs_but_not_for_the_other_metrics(compared):
    for metric in METRICS:
        own = [found for found in compared.differences if found.metric == metric]
        assert [found.p_holm for found in own] == pytest.approx(holm(np.array([found.p for found in own])))
        assert min(found.p_holm for found in own) == pytest.approx(3 / 2001)
    alone = compare_models(paired(30), ["accuracy"], n_draws=2000)
    assert list(alone.differences) == [found for found in compared.differences if found.metric == "accuracy"]


def test_with_few_groups_there_are_intervals_and_no_claim():
    found = compare_models(paired(LEAST_GROUPS - 1, shifts=(4.0, 0.0)), ["accuracy"], n_draws=500)
    (own,) = found.differences
    assert own.low > 0
    assert (own.p, own.p_holm, own.better()) == (None, None, None)
    assert found.told_apart("accuracy") == set()
    assert "19 groups, and fewer than 20 cannot carry a claim" in found.caution
    enough = compare_models(paired(LEAST_GROUPS, shifts=(4.0, 0.0)), ["accuracy"], n_draws=500)
    assert enough.differences[0].better() == "a"
    assert enough.caution is None


def test_one_group_has_no_interval_and_one_model_no_difference():
    found = compare_models(paired(1, shifts=(1.0, 0.0)), ["accuracy"], n_draws=50)
    (own,) = found.differences
    assert (own.low, own.high, own.standard_error) == (None, None, None)
    assert "come from 1 group," in found.caution
    alone = compare_models(paired(30, shifts=(1.0,)), ["accuracy"], n_draws=50)
    assert alone.differences == ()
    assert len(alone.scores) == 1


def test_a_metric_that_is_undefined_stays_empty_and_is_not_counted():
    given = paired(30)
    only_cats = {name: own._replace(y_true=np.zeros_like(own.y_true)) for name, own in given.models.items()}
    found = compare_models(PairedPredictions(only_cats, given.groups, TARGETS), ["roc_auc", "accuracy"], n_draws=99)
    area, accuracy = found.differences[0], found.differences[3]
    assert (area.difference, area.low, area.p, area.p_holm, area.better()) == (None,) * 5
    assert accuracy.p_holm <= 3 * accuracy.p
    assert json.loads(json.dumps(area.to_json(), allow_nan=False)) == area.to_json()


def test_a_metric_of_ones_own_can_be_compared():
    mine = RowMetric("wrong", lambda true, _, pred: float(np.mean(true != pred)), higher_is_better=False)
    found = compare_models(paired(25, shifts=(3.0, 0.0)), [mine, "accuracy"], n_draws=200)
    wrong, accuracy = found.differences
    assert wrong.difference == pytest.approx(-accuracy.difference)
    assert (wrong.low, wrong.high, wrong.p) == pytest.approx((-accuracy.high, -accuracy.low, accuracy.p))
    assert wrong.better() == accuracy.better() == "a"


def test_the_same_seed_gives_the_same_figures_and_the_order_of_models_only_turns_signs():
    given = paired(22)
    found = compare_models(given, ["accuracy", "roc_auc"], n_draws=300, seed=4)
    assert found == compare_models(given, ["accuracy", "roc_auc"], n_draws=300, seed=4)
    assert found != compare_models(given, ["accuracy", "roc_auc"], n_draws=300, seed=5)
    models = {name: given.models[name] for name in "cba"}
    turned = compare_models(
        PairedPredictions(models, given.groups, TARGETS), ["accuracy", "roc_auc"], n_draws=300, seed=4
    )
    assert turned.differences[0].difference == -found.differences[2].difference
    assert turned.differences[0].p == found.differences[2].p


def test_more_groups_are_asked_for_the_smaller_the_difference(compared):
    own = {(found.metric, found.first, found.second): found for found in compared.differences}
    near, far = own["accuracy", "b", "c"], own["accuracy", "a", "c"]
    assert more_groups(far.difference, far.standard_error, compared.n_groups) == 0
    assert more_groups(near.difference, near.standard_error, compared.n_groups) > 0


def test_tables_of_predictions_are_compared_by_their_patients():
    rng, n = np.random.default_rng(0), 120
    paths, y = [f"{number:03}.png" for number in range(n)], np.arange(n) % 3
    tables = {}
    for name, shift in (("good", 3.0), ("poor", 0.0)):
        outputs = np.exp(rng.normal(size=(n, 3)) + shift * np.eye(3)[y])
        prob = outputs / outputs.sum(axis=1, keepdims=True)
        tables[name] = predictions_table(paths, paths, np.arange(n) % 5, y, prob, TARGETS, prob.argmax(axis=1))
    patients = pd.Series([f"p{number // 4}" for number in range(n)], index=paths)
    found = compare_models(pair_predictions(tables, TARGETS, patients), ["balanced_accuracy"], n_draws=500)
    assert isinstance(found, Comparison)
    assert found.n_groups == 30
    assert found.differences[0].better() == "good"


def test_a_value_that_no_draw_changes_has_no_interval():
    """All images right: the draws know of no doubt, but there is some."""
    y = np.arange(40) % 2
    p = np.eye(2)[y] * 0.9 + 0.05
    table = predictions_table([str(k) for k in range(40)], ["x"] * 40, 0, y, p, Targets(("a", "b")), y, None)
    found = compare_models(pair_predictions({"one": table}, Targets(("a", "b"))), ["accuracy"], n_draws=200)
    assert (found.scores[0].value, found.scores[0].low, found.scores[0].high) == (1.0, None, None)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.ensembling.ensembles import average_backbones, greedy_ensemble
from tasks.comparison.pooling import average_probabilities, predictions_of
from tasks.config import InputError
from tasks.dataset.targets import Targets
from tasks.evaluation.metrics import score
from tasks.evaluation.outputs import class_probabilities, decide
from tasks.evaluation.tables import predictions_table

SHAPES = Targets(("round", "square", "long"))
GRADES = Targets(("0", "1", "2"), "ordinal")
LEAVES = Targets(("rust", "scab"), "multilabel", none_label="healthy")


def table(y_true, y_prob, targets=SHAPES, n_folds=5, thresholds=None):
    n = len(y_true)
    names = [f"{number:04d}" for number in range(n)]
    y_pred = decide(y_prob, targets.kind, 0.5 if thresholds is None else thresholds)
    return predictions_table(names, names, np.arange(n) % n_folds, y_true, y_prob, targets, y_pred, thresholds)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def backbone(truth, strength, seed, noise=1.0):
    random = np.random.default_rng(seed)
    return table(truth, softmax(strength * np.eye(3)[truth] + random.normal(0, noise, (len(truth), 3))))


@pytest.fixture
def truth():
    return np.random.default_rng(0).integers(0, 3, 300)


def accuracy(table, targets=SHAPES, metric="accuracy"):
    own = predictions_of(table, targets)
    return score(*own[:2], targets.classes, kind=targets.kind, y_pred=own.y_pred)[metric]


def test_the_mean_of_backbones_keeps_the_folds(truth):
    tables = {"a": backbone(truth, 1, 1), "b": backbone(truth, 1, 2)}
    found = average_backbones(tables, SHAPES)
    columns = [f"prob/{name}" for name in SHAPES.classes]
    np.testing.assert_allclose(found[columns], (tables["a"][columns] + tables["b"][columns]) / 2)
    assert found["fold"].tolist() == tables["a"]["fold"].tolist()
    assert accuracy(found) > max(accuracy(own) for own in tables.values())


def test_weights_count_a_backbone_several_times_or_not_at_all(truth):
    tables = {name: backbone(truth, 1, seed) for seed, name in enumerate("abc")}
    found = average_backbones(tables, SHAPES, {"a": 3, "c": 1})
    columns = [f"prob/{name}" for name in SHAPES.classes]
    np.testing.assert_allclose(found[columns], 0.75 * tables["a"][columns] + 0.25 * tables["c"][columns])
    with pytest.raises(ValueError, match="no predictions of 'd'"):
        average_backbones(tables, SHAPES, {"d": 1})
    with pytest.raises(ValueError, match="no table"):
        average_backbones(tables, SHAPES, {"a": 0})


@pytest.mark.parametrize("together", [average_backbones, lambda *given: greedy_ensemble(*given, "accuracy")])
def test_backbones_of_other_images_folds_or_labels_are_refused(truth, together):
    first = backbone(truth, 1, 1)
    with pytest.raises(ValueError, match="images or in their folds"):
        together({"a": first, "b": first.assign(fold=0)}, SHAPES)
    with pytest.raises(ValueError, match="images or in their folds"):
        together({"a": first, "b": first.iloc[1:]}, SHAPES)
    with pytest.raises(ValueError, match="true label"):
        together({"a": first, "b": first.assign(true="long")}, SHAPES)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_choice_is_that_of_the_plain_algorithm(truth, metric):
    strengths = {"a": 1, "b": 1.2, "c": 0.4, "d": 0}
    tables = {name: backbone(truth, own, seed) for seed, (name, own) in enumerate(strengths.items())}
    sign = {"accuracy": 1, "log_loss": -1}[metric]
    chosen = greedy_ensemble(tables, SHAPES, metric, steps=4)
    plain = _plain(tables, metric, 4, sign)
    assert chosen.weights == plain
    for fold, row in chosen.weights_of_fold.iterrows():
        others = {name: own[own["fold"] != fold] for name, own in tables.items()}
        assert row.to_dict() == _plain(others, metric, 4, sign)


def _plain(tables, metric, steps, sign):
    chosen, best, best_value = [], [], -np.inf
    for _ in range(steps):
        means = {name: average_probabilities([tables[x] for x in sorted([*chosen, name])], SHAPES) for name in tables}
        values = {name: sign * accuracy(own, metric=metric) for name, own in means.items()}
        chosen = [*chosen, max(values, key=values.get)]
        if max(values.values()) > best_value:
            best, best_value = chosen, max(values.values())
    return {name: best.count(name) for name in tables}


def test_backbones_that_complete_each_other_are_both_taken_and_a_useless_one_is_not(truth):
    random = np.random.default_rng(5)
    sees = {"round or not": [4, 0, 0], "square or not": [0, 4, 0]}
    tables = {
        name: table(truth, softmax(np.eye(3)[truth] * own + random.normal(0, 0.5, (300, 3))))
        for name, own in sees.items()
    } | {"noise": backbone(truth, 0, 9, noise=4)}
    found = greedy_ensemble(tables, SHAPES, "log_loss")
    assert found.weights["round or not"] > 0
    assert found.weights["square or not"] > 0
    assert found.weights["noise"] == 0
    assert accuracy(found.table) > max(accuracy(own) for own in tables.values()) + 0.05


def test_the_images_of_a_fold_have_no_say_in_the_ensemble_that_they_score(truth):
    tables = {name: backbone(truth, 1, seed) for seed, name in enumerate("abc")}
    before = greedy_ensemble(tables, SHAPES, "accuracy", steps=5)
    random = np.random.default_rng(1)
    own = tables["a"]["fold"] == 2
    columns = [f"prob/{name}" for name in SHAPES.classes]
    changed = dict(tables)
    for name, given in tables.items():
        other = given.copy()
        other.loc[own, columns] = random.dirichlet(np.ones(3), int(own.sum()))
        changed[name] = other
    after = greedy_ensemble(changed, SHAPES, "accuracy", steps=5)
    assert after.weights_of_fold.loc[2].to_dict() == before.weights_of_fold.loc[2].to_dict()
    assert not after.weights_of_fold.drop(2).equals(before.weights_of_fold.drop(2))


def test_choosing_among_guesses_is_not_rewarded_where_it_was_chosen_on_other_images():
    """Chosen and scored on the same images, the best of 12 guessing models seem to be better than chance."""
    nested, naive = [], []
    for seed in range(10):
        truth = np.random.default_rng([seed, 99]).integers(0, 3, 150)
        tables = {f"m{number:02d}": backbone(truth, 0, [seed, number]) for number in range(12)}
        found = greedy_ensemble(tables, SHAPES, "accuracy", steps=5)
        nested.append(accuracy(found.table))
        naive.append(accuracy(average_backbones(tables, SHAPES, found.weights)))
    assert np.mean(naive) > 0.40
    assert np.mean(nested) == pytest.approx(1 / 3, abs=0.03)


def test_every_image_is_there_once_by_the_weights_of_its_fold(truth):
    tables = {name: backbone(truth, 1, seed) for seed, name in enumerate("abc")}
    found = greedy_ensemble({name: own.iloc[::-1] for name, own in tables.items()}, SHAPES, "accuracy", steps=5)
    assert found.table["path"].tolist() == tables["a"]["path"].tolist()
    assert found.table["fold"].tolist() == tables["a"]["fold"].tolist()
    for fold, weights in found.weights_of_fold.iterrows():
        whole = average_backbones(tables, SHAPES, weights.to_dict())
        pd.testing.assert_frame_equal(
            found.table[found.table["fold"] == fold], whole[whole["fold"] == fold], check_exact=False
        )


def test_several_labels_and_grades_are_decided_by_their_own_rules():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (120, 2))
    tables = {
        name: table(
            labels, 1 / (1 + np.exp(-(2 * labels - 1 + random.normal(0, 1, (120, 2))))), LEAVES, 3, np.array(cut)
        )
        for name, cut in {"a": [0.3, 0.6], "b": [0.5, 0.2]}.items()
    }
    found = greedy_ensemble(tables, LEAVES, "f1_macro", steps=4).table
    cuts = found[["threshold/rust", "threshold/scab"]].to_numpy()
    decided = decide(found[["prob/rust", "prob/scab"]].to_numpy(), "multilabel", cuts)
    assert found["predicted"].tolist() == LEAVES.texts(decided)
    grade = random.integers(0, 3, 120)
    seen = grade[:, None] + random.normal(0, 1, (120, 1)) - np.arange(3) + 0.5
    prob = class_probabilities(1 / (1 + np.exp(-seen)), "ordinal")
    of_grades = {"a": table(grade, prob, GRADES), "b": table(grade, prob[::-1], GRADES)}
    chosen = greedy_ensemble(of_grades, GRADES, "quadratic_kappa", steps=4)
    assert chosen.weights["a"] > chosen.weights["b"]
    assert chosen.table["predicted"].tolist() == GRADES.texts(
        decide(predictions_of(chosen.table, GRADES).y_prob, "ordinal")
    )


def test_one_fold_and_an_unknown_metric_are_refused(truth):
    with pytest.raises(ValueError, match="one fold only"):
        greedy_ensemble({"a": backbone(truth, 1, 1).assign(fold=0)}, SHAPES, "accuracy")
    with pytest.raises(InputError, match="no metric"):
        greedy_ensemble({"a": backbone(truth, 1, 1)}, SHAPES, "acuracy")

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.errors.suspect_labels import COLUMNS, suspect_labels
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import class_probabilities, decide
from tasks.evaluation.tables import predictions_table

ANIMALS = Targets(("cat", "dog"))
GRADES = Targets(("0", "1", "2", "3"), "ordinal")
LEAVES = Targets(("rust", "scab", "mould"), "multilabel", none_label="healthy")


def table(y_true, y_prob, targets, thresholds=None):
    names = [f"{number:04d}.png" for number in range(len(y_true))]
    y_pred = decide(y_prob, targets.kind, 0.5 if thresholds is None else thresholds)
    return predictions_table(names, [f"sha-{n}" for n in names], 0, y_true, y_prob, targets, y_pred, thresholds)


def found_of(table, wrong, **options):
    """Recall and precision of the planted errors."""
    told = table["path"].isin(options["suspects"]["path"]).to_numpy()
    return (told & wrong).sum() / wrong.sum(), (told & wrong).sum() / told.sum()


def test_a_suspect_stands_with_what_is_given_and_suggested():
    prob = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.3, 0.7], [0.2, 0.8], [0.75, 0.25]])
    found = suspect_labels(table(np.array([0, 0, 0, 1, 1, 1]), prob, ANIMALS), ANIMALS)
    assert tuple(found.columns) == COLUMNS
    assert found.values.tolist() == [
        ["0002.png", "sha-0002.png", "cat", "dog", 0.95, pytest.approx(-0.9), 0.05],
        ["0005.png", "sha-0005.png", "dog", "cat", 0.75, pytest.approx(-0.5), 0.25],
    ]


def test_clean_labels_give_an_empty_table_with_the_same_columns():
    prob = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    found = suspect_labels(table(np.array([0, 0, 1, 1]), prob, ANIMALS), ANIMALS)
    assert tuple(found.columns) == COLUMNS
    assert not len(found)


def test_planted_errors_among_real_images_are_found_by_models_that_learned_from_them_too():
    """Handwritten digits, one label in twelve swapped, and a model that gets 95 % of the true labels right."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    images, truth = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    wrong = random.random(len(truth)) < 1 / 12
    given = np.where(wrong, (truth + random.integers(1, 10, len(truth))) % 10, truth)
    prob = cross_val_predict(KNeighborsClassifier(15), images, given, cv=5, method="predict_proba")
    digits = Targets(tuple("0123456789"))
    oof = table(given, prob, digits)
    found = suspect_labels(oof, digits)
    recall, precision = found_of(oof, wrong, suspects=found)
    assert recall == pytest.approx(0.905, abs=0.01)
    assert precision == pytest.approx(0.924, abs=0.01)
    told = found.set_index("path").loc[lambda own: own.index.isin(oof.loc[wrong, "path"])]
    true = oof.assign(real=digits.texts(truth)).set_index("path")["real"]
    assert (told["suggested"] == true.reindex(told.index)).mean() > 0.95
    first = found["path"].head(50)
    assert wrong[oof["path"].isin(first).to_numpy()].mean() > 0.95


def grades(share, seed=0, n=1500):
    """Grades on a scale from 0 to 3, seen with noise; errors are two grades off or more."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, n)
    seen = truth + random.normal(0, 0.3, n)
    outputs = 1 / (1 + np.exp(-5.7 * (seen[:, None] - np.arange(4) + 0.5)))
    wrong = random.random(n) < share
    return np.where(wrong, (truth + 2) % 4, truth), wrong, class_probabilities(outputs, "ordinal")


def test_wrong_grades_are_found_and_the_grade_that_is_reached_is_suggested():
    given, wrong, prob = grades(0.08)
    oof = table(given, prob, GRADES)
    found = suspect_labels(oof, GRADES)
    recall, precision = found_of(oof, wrong, suspects=found)
    assert recall > 0.93
    assert precision > 0.87
    decided = oof.set_index("path")["predicted"]
    assert found["suggested"].tolist() == decided[found["path"]].tolist()
    assert (found["suggested"] != found["given"]).all()
    probability = [oof.set_index("path").loc[row.path, f"prob/{row.suggested}"] for row in found.itertuples()]
    assert found["probability"].tolist() == probability


def leaves(seed=0, n=1200):
    """Three labels, of which one is rare and another is always rightly given."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, 3)) < [0.5, 0.1, 0.4]).astype(int)
    prob = 1 / (1 + np.exp(-(5 * (2 * truth - 1) + random.normal(0, 2, (n, 3)))))
    flipped = (random.random((n, 3)) < [0.06, 0.03, 0]).astype(bool)
    return np.where(flipped, 1 - truth, truth), truth, prob


def test_each_label_is_judged_by_itself_and_all_changes_of_an_image_stand_in_one_row():
    given, truth, prob = leaves()
    oof = table(given, prob, LEAVES, np.array([0.5, 0.5, 0.5]))
    found = suspect_labels(oof, LEAVES)
    assert found["path"].is_unique
    recall, precision = found_of(oof, (given != truth).any(axis=1), suspects=found)
    assert recall > 0.9
    assert precision > 0.85
    rows = found["path"].str[:4].astype(int).to_numpy()
    suggested = LEAVES.numbers(found["suggested"].tolist())
    assert (suggested == truth[rows]).all(axis=1).mean() > 0.85
    changed = suggested != given[rows]
    own = np.where(given == 1, prob, 1 - prob)[rows]
    least = np.where(changed, own, 2).min(axis=1)
    np.testing.assert_allclose(found["self_confidence"], least)
    np.testing.assert_allclose(found["probability"], 1 - least)
    np.testing.assert_allclose(found["margin"], 2 * least - 1)
    assert (changed.sum(axis=1) > 1).any()
    assert "healthy" in set(found["given"]) | set(found["suggested"])


def test_what_was_decided_as_the_label_says_is_no_suspect_whatever_the_threshold():
    given, _, prob = leaves()
    strict, mild = (suspect_labels(table(given, prob, LEAVES, np.full(3, cut)), LEAVES) for cut in (0.5, 0.0))
    removed = [
        (LEAVES.numbers(own["suggested"].tolist()) < LEAVES.numbers(own["given"].tolist())).sum()
        for own in (strict, mild)
    ]
    assert removed[0] > 20
    assert removed[1] == 0
    assert len(mild) > 20


@pytest.mark.parametrize("targets", [GRADES, Targets(GRADES.classes)])
def test_unsure_models_never_suggest_what_is_given(targets):
    random = np.random.default_rng(0)
    given, prob = random.integers(0, 4, 400), random.dirichlet(np.full(4, 3.0), 400)
    found = suspect_labels(table(given, prob, targets), targets, rule="by_class")
    assert (found["suggested"] != found["given"]).all()
    assert len(found) > 50


@pytest.mark.parametrize("column", ["margin", "self_confidence"])
def test_the_least_plausible_comes_first(column):
    given, _, prob = grades(0.1)
    found = suspect_labels(table(given, prob, GRADES), GRADES, ranked_by=column)
    assert found[column].is_monotonic_increasing
    assert len(found) > 20


def test_the_order_of_rows_changes_nothing_and_the_table_stays_as_it_was():
    given, _, prob = grades(0.1)
    oof = table(given, prob, GRADES)
    before = oof.copy()
    turned = suspect_labels(oof.iloc[::-1].reset_index(drop=True), GRADES)
    pd.testing.assert_frame_equal(turned, suspect_labels(oof, GRADES))
    pd.testing.assert_frame_equal(oof, before)
